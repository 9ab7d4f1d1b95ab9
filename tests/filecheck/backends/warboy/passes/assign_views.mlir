// RUN: furiosa-opt %s -p "fuse-kernels,assign-views" | filecheck %s

// Pools and convolutions say what is N, H, W and C; what is transposed into that is free.

func.func private @npu_0(%x : tensor<1x4x6x2xi8>) -> tensor<1x2x4x6xi8> attributes {graph.placement = "npu"} {
  %t = ftensor.transpose %x {perm = array<i64: 0, 3, 1, 2>} : tensor<1x2x4x6xi8>
  %y = ftensor.reduce_window %t {kind = "max", layout = "NCHW", window = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : tensor<1x2x4x6xi8>
  func.return %y : tensor<1x2x4x6xi8>
}
// CHECK-LABEL: func.func private @npu_0(%x: tensor<1x4x6x2xi8> {warboy.view = "NHWC"})
// CHECK:         [[T:%.+]] = ftensor.transpose %x {perm = array<i64: 0, 3, 1, 2>} attributes {warboy.view = "NCHW"}
// CHECK-NEXT:    warboy.pool %x_1 = [[T]] {views = #warboy.views<("NCHW") -> "NCHW">}

// A reshape that tears a dimension apart is a copy in DRAM.

func.func private @npu_1(%x : tensor<1x2x4x6xi8>) -> tensor<1x2x3x8xi8> attributes {graph.placement = "npu"} {
  %y = ftensor.reduce_window %x {kind = "max", layout = "NCHW", window = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : tensor<1x2x4x6xi8>
  %r = ftensor.reshape %y : tensor<1x2x3x8xi8>
  %z = ftensor.reduce_window %r {kind = "max", layout = "NHWC", window = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : tensor<1x2x3x8xi8>
  func.return %z : tensor<1x2x3x8xi8>
}
// CHECK-LABEL: func.func private @npu_1
// CHECK:         [[Y:%.+]] = warboy.pool %x_1 = %x {views = #warboy.views<("NCHW") -> "NCHW">}
// CHECK:         [[R:%.+]] = warboy.copy {{%.+}} = [[Y]] {views = #warboy.views<("NCHW") -> "NHWC">}
// CHECK:           ftensor.reshape
// CHECK:         warboy.pool {{%.+}} = [[R]] {views = #warboy.views<("NHWC") -> "NHWC">}

// One tensor that two kernels read under different views: one of them reads a copy.

func.func private @npu_2(%x : tensor<1x4x4x4xi8>) -> (tensor<1x4x4x4xi8>, tensor<1x4x4x4xi8>) attributes {graph.placement = "npu"} {
  %y = ftensor.reduce_window %x {kind = "max", layout = "NCHW", window = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : tensor<1x4x4x4xi8>
  %z = ftensor.reduce_window %x {kind = "max", layout = "NHWC", window = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : tensor<1x4x4x4xi8>
  func.return %y, %z : tensor<1x4x4x4xi8>, tensor<1x4x4x4xi8>
}
// CHECK-LABEL: func.func private @npu_2
// CHECK:         warboy.pool %x_1 = %x {views = #warboy.views<("NCHW") -> "NCHW">}
// CHECK:         [[C:%.+]] = warboy.copy {{%.+}} = %x {views = #warboy.views<("NCHW") -> "NHWC">}
// CHECK:         warboy.pool {{%.+}} = [[C]] {views = #warboy.views<("NHWC") -> "NHWC">}

// Padding that no window takes over is a concatenation with constants, put together in DRAM for a result.

func.func private @npu_3(%x : tensor<1x4x6x2xi8>) -> tensor<1x4x6x3xi8> attributes {graph.placement = "npu"} {
  %y = ftensor.pad %x {pads = array<i64: 0, 0, 0, 1, 0, 0, 0, 0>, value = 7} : tensor<1x4x6x3xi8>
  func.return %y : tensor<1x4x6x3xi8>
}
// CHECK-LABEL: func.func private @npu_3
// CHECK:         [[B:%.+]] = ftensor.constant
// CHECK-NEXT:    warboy.copy {{%.+}} = [[B]], {{%.+}} = %x {views = #warboy.views<("NWHC", "NWHC") -> "NWHC">}
// CHECK:           ftensor.concat

// A concatenation that a kernel reads: each part is written in place, an argument by the vector engine.

func.func private @npu_4(%x : tensor<1x2x4x6xi8>, %w : tensor<1x2x4x6xi8>) -> tensor<1x4x4x6xi8> attributes {graph.placement = "npu"} {
  %a = ftensor.reduce_window %w {kind = "max", layout = "NCHW", window = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : tensor<1x2x4x6xi8>
  %c = ftensor.concat %x, %a {axis = 1} : tensor<1x4x4x6xi8>
  %y = ftensor.reduce_window %c {kind = "max", layout = "NCHW", window = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : tensor<1x4x4x6xi8>
  func.return %y : tensor<1x4x4x6xi8>
}
// CHECK-LABEL: func.func private @npu_4
// CHECK:         [[A:%.+]] = warboy.pool {{%.+}} = %w
// CHECK:         [[X:%.+]] = warboy.vector {{%.+}} = %x {views = #warboy.views<("NCHW") -> "NCHW">}
// CHECK:         ftensor.concat [[X]], [[A]] {axis = 1} attributes {warboy.view = "NCHW"}

// An argument that is a result: every result is a buffer of its own.

func.func private @npu_5(%x : tensor<2x3xi8>) -> tensor<2x3xi8> attributes {graph.placement = "npu"} {
  func.return %x : tensor<2x3xi8>
}
// CHECK-LABEL: func.func private @npu_5
// CHECK:         warboy.copy {{%.+}} = %x {views = #warboy.views<("HC") -> "HC">}

// A product of two activations has to have the leading axes of both in full.

func.func private @npu_6(%a : tensor<2x3x4xi8>, %b : tensor<4x5xi8>) -> tensor<2x3x5xi32> attributes {graph.placement = "npu"} {
  %y = ftensor.matmul %a, %b : tensor<2x3x5xi32>
  func.return %y : tensor<2x3x5xi32>
}
// CHECK-LABEL: func.func private @npu_6
// CHECK:         [[B:%.+]] = warboy.copy {{%.+}} = %b
// CHECK:           ftensor.broadcast
// CHECK:         warboy.dot {{%.+}} = %a, {{%.+}} = [[B]] {views = #warboy.views<("HWC", "HCW") -> "HWC">}
