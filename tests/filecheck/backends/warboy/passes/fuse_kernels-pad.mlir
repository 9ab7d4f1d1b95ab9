// RUN: furiosa-opt %s -p fuse-kernels | filecheck %s

// Padding with the neutral value becomes the window's own.

func.func private @npu_0(%x : tensor<1x4x4x2xi8>) -> tensor<1x3x3x2xi8> attributes {graph.placement = "npu"} {
  %p = ftensor.pad %x {pads = array<i64: 0, 1, 1, 0, 0, 1, 1, 0>, value = -128} : tensor<1x6x6x2xi8>
  %y = ftensor.reduce_window %p {kind = "max", layout = "NHWC", window = array<i64: 2, 2>, strides = array<i64: 2, 2>} : tensor<1x3x3x2xi8>
  func.return %y : tensor<1x3x3x2xi8>
}
// CHECK-LABEL: func.func private @npu_0
// CHECK-NOT:     ftensor.pad
// CHECK:         warboy.pool %x_1 = %x
// CHECK:           ftensor.reduce_window {{.*}} {kind = "max", layout = "NHWC", window = array<i64: 2, 2>, strides = array<i64: 2, 2>, pads = array<i64: 1, 1, 1, 1>

// Padding of channels, or with another value, does not.

func.func private @npu_1(%x : tensor<1x4x4x2xi8>) -> tensor<1x3x3x2xi8> attributes {graph.placement = "npu"} {
  %p = ftensor.pad %x {pads = array<i64: 0, 1, 1, 0, 0, 1, 1, 0>, value = 0} : tensor<1x6x6x2xi8>
  %y = ftensor.reduce_window %p {kind = "max", layout = "NHWC", window = array<i64: 2, 2>, strides = array<i64: 2, 2>} : tensor<1x3x3x2xi8>
  func.return %y : tensor<1x3x3x2xi8>
}
// CHECK-LABEL: func.func private @npu_1
// CHECK:         [[P:%.+]] = ftensor.pad %x
// CHECK:         warboy.pool %x_1 = [[P]]

// Elements that are never less than the padding: it wins in no window that has one of them.

func.func private @npu_2(%x : tensor<1x4x4x2xi8>) -> tensor<1x3x3x2xi8> attributes {graph.placement = "npu"} {
  %r = ftensor.clamp %x {minimum = -100, maximum = 127} : tensor<1x4x4x2xi8>
  %p = ftensor.pad %r {pads = array<i64: 0, 1, 1, 0, 0, 1, 1, 0>, value = -100} : tensor<1x6x6x2xi8>
  %y = ftensor.reduce_window %p {kind = "max", layout = "NHWC", window = array<i64: 2, 2>, strides = array<i64: 2, 2>} : tensor<1x3x3x2xi8>
  func.return %y : tensor<1x3x3x2xi8>
}
// CHECK-LABEL: func.func private @npu_2
// CHECK-NOT:     ftensor.pad
// CHECK:         warboy.pool

// Windows that lie in the padding alone hold its value.

func.func private @npu_3(%x : tensor<1x4x4x2xi8>) -> tensor<1x4x4x2xi8> attributes {graph.placement = "npu"} {
  %r = ftensor.clamp %x {minimum = -100, maximum = 127} : tensor<1x4x4x2xi8>
  %p = ftensor.pad %r {pads = array<i64: 0, 2, 2, 0, 0, 2, 2, 0>, value = -100} : tensor<1x8x8x2xi8>
  %y = ftensor.reduce_window %p {kind = "max", layout = "NHWC", window = array<i64: 2, 2>, strides = array<i64: 2, 2>} : tensor<1x4x4x2xi8>
  func.return %y : tensor<1x4x4x2xi8>
}
// CHECK-LABEL: func.func private @npu_3
// CHECK:         ftensor.pad
