// RUN: furiosa-opt %s -p graph-sink-movement | filecheck %s

// What works element by element goes before the transpose, and a pair of transposes meets.

func.func private @npu_0(%x : tensor<1x2x3x4x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x2x3x4x!quant.uniform<i8:f32, 0.25>> attributes {graph.placement = "npu"} {
  %0 = graph.transpose %x {perm = array<i64: 0, 2, 3, 1>} : tensor<1x3x4x2x!quant.uniform<i8:f32, 0.5>>
  %1 = graph.sigmoid %0 : tensor<1x3x4x2x!quant.uniform<i8:f32, 0.25>>
  %2 = graph.transpose %1 {perm = array<i64: 0, 3, 1, 2>} : tensor<1x2x3x4x!quant.uniform<i8:f32, 0.25>>
  func.return %2 : tensor<1x2x3x4x!quant.uniform<i8:f32, 0.25>>
}
// CHECK-LABEL: func.func private @npu_0
// CHECK:         [[Y:%.+]] = graph.sigmoid %x
// CHECK-NEXT:    func.return [[Y]]

// Requantisation after a reshape belongs to what comes before it.

func.func private @npu_1(%x : tensor<2x3x4x!quant.uniform<i8:f32, 0.5>>) -> tensor<24x!quant.uniform<i8:f32, 0.25>> attributes {graph.placement = "npu"} {
  %0 = graph.reshape %x : tensor<6x4x!quant.uniform<i8:f32, 0.5>>
  %1 = graph.quantize %0 : tensor<6x4x!quant.uniform<i8:f32, 0.25>>
  %2 = graph.reshape %1 : tensor<24x!quant.uniform<i8:f32, 0.25>>
  func.return %2 : tensor<24x!quant.uniform<i8:f32, 0.25>>
}
// CHECK-LABEL: func.func private @npu_1
// CHECK:         [[Q:%.+]] = graph.quantize %x
// CHECK-NEXT:    [[R:%.+]] = graph.reshape [[Q]]
// CHECK-NEXT:    func.return [[R]]

// Two operands, one of them a constant; a concatenation; padding: their axes move.

func.func private @npu_2(%x : tensor<1x2x3x4x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x5x5x4x!quant.uniform<i8:f32, 0.5>> attributes {graph.placement = "npu"} {
  %c = graph.constant #graph.blob<i8 [2] (1, 2)> : tensor<2x!quant.uniform<i8:f32, 0.5>>
  %0 = graph.transpose %x {perm = array<i64: 0, 2, 3, 1>} : tensor<1x3x4x2x!quant.uniform<i8:f32, 0.5>>
  %1 = graph.mul %0, %c : tensor<1x3x4x2x!quant.uniform<i8:f32, 0.5>>
  %2 = graph.concat %0, %1 {axis = 3} : tensor<1x3x4x4x!quant.uniform<i8:f32, 0.5>>
  %3 = graph.pad %2 {pads = array<i64: 0, 2, 0, 1, 0, 0, 0, 0>} : tensor<1x5x4x5x!quant.uniform<i8:f32, 0.5>>
  %4 = graph.transpose %3 {perm = array<i64: 0, 3, 1, 2>} : tensor<1x5x5x4x!quant.uniform<i8:f32, 0.5>>
  func.return %4 : tensor<1x5x5x4x!quant.uniform<i8:f32, 0.5>>
}
// CHECK-LABEL: func.func private @npu_2
// CHECK:         [[C:%.+]] = graph.constant #graph.blob<i8 [1, 2, 1, 1] (1, 2)>
// CHECK-NEXT:    [[M:%.+]] = graph.mul %x, [[C]]
// CHECK-NEXT:    [[J:%.+]] = graph.concat %x, [[M]] {axis = 1}
// CHECK-NEXT:    [[P:%.+]] = graph.pad [[J]] {pads = array<i64: 0, 1, 2, 0, 0, 0, 0, 0>
// CHECK-NEXT:    func.return [[P]]

// An operand that would have to be transposed for it.

func.func private @npu_3(%x : tensor<2x3x!quant.uniform<i8:f32, 0.5>>, %y : tensor<3x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<3x2x!quant.uniform<i8:f32, 0.5>> attributes {graph.placement = "npu"} {
  %0 = graph.transpose %x {perm = array<i64: 1, 0>} : tensor<3x2x!quant.uniform<i8:f32, 0.5>>
  %1 = graph.add %0, %y : tensor<3x2x!quant.uniform<i8:f32, 0.5>>
  func.return %1 : tensor<3x2x!quant.uniform<i8:f32, 0.5>>
}
// CHECK-LABEL: func.func private @npu_3
// CHECK:         [[T:%.+]] = graph.transpose %x
// CHECK-NEXT:    graph.add [[T]], %y

// The host's operators are written as they were.

func.func private @host_4(%x : tensor<2x3xf32>) -> tensor<3x2xf32> attributes {graph.placement = "host"} {
  %0 = graph.transpose %x {perm = array<i64: 1, 0>} : tensor<3x2xf32>
  %1 = graph.sigmoid %0 : tensor<3x2xf32>
  func.return %1 : tensor<3x2xf32>
}
// CHECK-LABEL: func.func private @host_4
// CHECK:         graph.transpose
// CHECK-NEXT:    graph.sigmoid

// A product of what two reshapes make of maps of one shape; a number has every shape. Of maps of two
// shapes the elements are others.

func.func private @npu_reshapes(%x : tensor<1x4x2x3x!quant.uniform<i8:f32, 0.5>>, %y : tensor<1x4x2x3x!quant.uniform<i8:f32, 0.5>>, %z : tensor<1x4x3x2x!quant.uniform<i8:f32, 0.5>>) -> (tensor<1x4x6x!quant.uniform<i8:f32, 0.5>>, tensor<1x4x6x!quant.uniform<i8:f32, 0.5>>) attributes {graph.placement = "npu"} {
  %c = graph.constant #graph.blob<i8 [] (3)> : tensor<!quant.uniform<i8:f32, 0.5>>
  %0 = graph.reshape %x : tensor<1x4x6x!quant.uniform<i8:f32, 0.5>>
  %1 = graph.reshape %y : tensor<1x4x6x!quant.uniform<i8:f32, 0.5>>
  %2 = graph.mul %0, %1 : tensor<1x4x6x!quant.uniform<i8:f32, 0.5>>
  %3 = graph.add %2, %c : tensor<1x4x6x!quant.uniform<i8:f32, 0.5>>
  %4 = graph.reshape %z : tensor<1x4x6x!quant.uniform<i8:f32, 0.5>>
  %5 = graph.mul %0, %4 : tensor<1x4x6x!quant.uniform<i8:f32, 0.5>>
  func.return %3, %5 : tensor<1x4x6x!quant.uniform<i8:f32, 0.5>>, tensor<1x4x6x!quant.uniform<i8:f32, 0.5>>
}
// CHECK-LABEL: func.func private @npu_reshapes
// CHECK:         [[M:%.+]] = graph.mul %x, %y
// CHECK-NEXT:    [[A:%.+]] = graph.add [[M]], %c
// CHECK:         graph.reshape [[A]]
// CHECK:         [[Z:%.+]] = graph.reshape %z
// CHECK-NEXT:    graph.mul {{%.+}}, [[Z]]
