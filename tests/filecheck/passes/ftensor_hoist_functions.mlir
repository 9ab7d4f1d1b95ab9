// RUN: furiosa-opt %s -p ftensor-hoist-functions | filecheck %s

// An activation behind a reshape (of a 1-D convolution) is the range of the rescale before that.

func.func private @clamp(%x : tensor<2x1x4xi32>, %m : tensor<i32>, %s : tensor<i8>) -> tensor<2x4xi8> attributes {graph.placement = "npu"} {
  %0 = ftensor.rescale %x, %m, %s {output_zp = 3, minimum = 3, rounding = "even"} : tensor<2x1x4xi8>
  %1 = ftensor.reshape %0 : tensor<2x4xi8>
  %2 = ftensor.clamp %1 {minimum = -128, maximum = 99} : tensor<2x4xi8>
  func.return %2 : tensor<2x4xi8>
}
// CHECK-LABEL: func.func private @clamp
// CHECK:         [[Y:%.+]] = ftensor.rescale %x, %m, %s {output_zp = 3, minimum = 3, maximum = 99
// CHECK-NEXT:    [[R:%.+]] = ftensor.reshape [[Y]]
// CHECK-NEXT:    func.return [[R]]

// The heads of a detector: the sigmoid of a concatenation joins what makes its parts, in front of
// transposes and reshapes; of a part that is a table already, it is one table with that.

func.func private @heads(%a : tensor<1x6x2x2xi32>, %b : tensor<1x6x1x1xi8>, %m : tensor<i32>, %s : tensor<i8>) -> tensor<1x10x3xi8> attributes {graph.placement = "npu"} {
  %t0 = ftensor.constant #graph.blob<i8 [256] (7)> : tensor<256xi8>
  %t1 = ftensor.constant #graph.blob<i8 [256] (9)> : tensor<256xi8>
  %0 = ftensor.rescale %a, %m, %s {output_zp = 3, rounding = "even"} : tensor<1x6x2x2xi8>
  %1 = ftensor.transpose %0 {perm = array<i64: 0, 2, 3, 1>} : tensor<1x2x2x6xi8>
  %2 = ftensor.reshape %1 : tensor<1x8x3xi8>
  %3 = ftensor.lookup %b, %t0 : tensor<1x6x1x1xi8>
  %4 = ftensor.reshape %3 : tensor<1x2x3xi8>
  %5 = ftensor.concat %2, %4 {axis = 1} : tensor<1x10x3xi8>
  %6 = ftensor.lookup %5, %t1 : tensor<1x10x3xi8>
  func.return %6 : tensor<1x10x3xi8>
}
// CHECK-LABEL: func.func private @heads
// CHECK:         [[A:%.+]] = ftensor.rescale %a
// CHECK-NEXT:    [[FA:%.+]] = ftensor.lookup [[A]]
// CHECK:         [[TA:%.+]] = ftensor.transpose [[FA]]
// CHECK-NEXT:    [[RA:%.+]] = ftensor.reshape [[TA]]
// CHECK:         [[FB:%.+]] = ftensor.lookup %b
// CHECK-NEXT:    [[RB:%.+]] = ftensor.reshape [[FB]]
// CHECK-NEXT:    [[C:%.+]] = ftensor.concat [[RA]], [[RB]]
// CHECK-NEXT:    func.return [[C]]

// Of padding, what it pads with changes as well; of a constant part, the constant.

func.func private @pad(%a : tensor<2xi32>, %m : tensor<i32>, %s : tensor<i8>) -> tensor<6xi8> attributes {graph.placement = "npu"} {
  %c = ftensor.constant #graph.blob<i8 [2] (50, -50)> : tensor<2xi8>
  %0 = ftensor.rescale %a, %m, %s {rounding = "even"} : tensor<2xi8>
  %1 = ftensor.pad %0 {pads = array<i64: 1, 1>, value = 100 : i64} : tensor<4xi8>
  %2 = ftensor.concat %1, %c {axis = 0} : tensor<6xi8>
  %3 = ftensor.clamp %2 {minimum = -10, maximum = 20} : tensor<6xi8>
  func.return %3 : tensor<6xi8>
}
// CHECK-LABEL: func.func private @pad
// CHECK:         [[A:%.+]] = ftensor.rescale %a, %m, %s {minimum = -10, maximum = 20
// CHECK-NEXT:    [[P:%.+]] = ftensor.pad [[A]] {pads = array<i64: 1, 1>, value = 20
// CHECK-NEXT:    [[C:%.+]] = ftensor.constant #graph.blob<i8 [2] (20, -10)>
// CHECK-NEXT:    ftensor.concat [[P]], [[C]]

// Nothing moves: behind a slice there is less to compute; a factor for each channel depends on the
// place; of parts that others read, too, it would be a kernel each.

func.func private @slice(%x : tensor<8xi8>, %t : tensor<256xi8>) -> tensor<4xi8> attributes {graph.placement = "npu"} {
  %0 = ftensor.slice %x {starts = array<i64: 0>, ends = array<i64: 4>, steps = array<i64: 1>} : tensor<4xi8>
  %1 = ftensor.lookup %0, %t : tensor<4xi8>
  func.return %1 : tensor<4xi8>
}
// CHECK-LABEL: func.func private @slice
// CHECK:         [[X:%.+]] = ftensor.slice %x
// CHECK-NEXT:    ftensor.lookup [[X]]

func.func private @channels(%x : tensor<2x4xi8>, %m : tensor<2xi32>, %s : tensor<2xi8>) -> tensor<4x2xi8> attributes {graph.placement = "npu"} {
  %0 = ftensor.transpose %x {perm = array<i64: 1, 0>} : tensor<4x2xi8>
  %1 = ftensor.rescale %0, %m, %s {rounding = "even"} : tensor<4x2xi8>
  func.return %1 : tensor<4x2xi8>
}
// CHECK-LABEL: func.func private @channels
// CHECK:         [[X:%.+]] = ftensor.transpose %x
// CHECK-NEXT:    ftensor.rescale [[X]]

func.func private @shared(%x : tensor<4xi8>, %y : tensor<4xi8>, %t : tensor<256xi8>) -> (tensor<4xi8>, tensor<4xi8>, tensor<8xi8>) attributes {graph.placement = "npu"} {
  %0 = ftensor.clamp %x {minimum = 0, maximum = 9} : tensor<4xi8>
  %1 = ftensor.clamp %y {minimum = 0, maximum = 9} : tensor<4xi8>
  %2 = ftensor.concat %0, %1 {axis = 0} : tensor<8xi8>
  %3 = ftensor.lookup %2, %t : tensor<8xi8>
  func.return %0, %1, %3 : tensor<4xi8>, tensor<4xi8>, tensor<8xi8>
}
// CHECK-LABEL: func.func private @shared
// CHECK:         [[C:%.+]] = ftensor.concat
// CHECK-NEXT:    ftensor.lookup [[C]]

func.func private @other_reader(%x : tensor<4xi8>, %t : tensor<256xi8>) -> (tensor<2x2xi8>, tensor<2x2xi8>) attributes {graph.placement = "npu"} {
  %0 = ftensor.reshape %x : tensor<2x2xi8>
  %1 = ftensor.lookup %0, %t : tensor<2x2xi8>
  %2 = ftensor.add %0, %1 : tensor<2x2xi8>
  func.return %1, %2 : tensor<2x2xi8>, tensor<2x2xi8>
}
// CHECK-LABEL: func.func private @other_reader
// CHECK:         [[R:%.+]] = ftensor.reshape
// CHECK-NEXT:    ftensor.lookup [[R]]

// What is only given out is no reader: it is stored from where it is made.

func.func private @given_out(%x : tensor<4xi8>, %t : tensor<256xi8>) -> (tensor<2x2xi8>, tensor<2x2xi8>) attributes {graph.placement = "npu"} {
  %0 = ftensor.reshape %x : tensor<2x2xi8>
  %1 = ftensor.lookup %0, %t : tensor<2x2xi8>
  func.return %0, %1 : tensor<2x2xi8>, tensor<2x2xi8>
}
// CHECK-LABEL: func.func private @given_out
// CHECK:         ftensor.reshape %x
// CHECK-NEXT:    [[F:%.+]] = ftensor.lookup %x
// CHECK-NEXT:    ftensor.reshape [[F]]
