// RUN: furiosa-opt %s -p ftensor-move-in-kernels | filecheck %s

// Every second row and column of what a pool makes is a pool with windows of one element.

func.func @strided(%x : tensor<1x8x9x2xi8>) -> tensor<1x3x4x2xi8> {
  %0 = ftensor.reduce_window %x {kind = "max", layout = "NHWC", window = array<i64: 2, 2>, strides = array<i64: 1, 1>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>, x_zp = 0 : i64} : tensor<1x7x8x2xi8>
  %1 = ftensor.clamp %0 {minimum = 0, maximum = 9} : tensor<1x7x8x2xi8>
  %2 = ftensor.slice %1 {starts = array<i64: 0, 1, 0, 0>, ends = array<i64: 1, 7, 8, 2>, steps = array<i64: 1, 2, 2, 1>} : tensor<1x3x4x2xi8>
  func.return %2 : tensor<1x3x4x2xi8>
}
// CHECK-LABEL: func.func @strided
// CHECK:         [[X:%.+]] = ftensor.clamp
// CHECK-NEXT:    [[S:%.+]] = ftensor.slice [[X]] {starts = array<i64: 0, 1, 0, 0>, ends = array<i64: 1, 6, 7, 2>}
// CHECK-NEXT:    ftensor.reduce_window [[S]] {kind = "max", layout = "NHWC", window = array<i64: 1, 1>, strides = array<i64: 2, 2>

// The channels of a grouped convolution, shuffled.

func.func @shuffle(%x : tensor<1x6x2x2xi8>) -> tensor<1x6x2x2xi8> {
  %0 = ftensor.clamp %x {minimum = 0, maximum = 9} : tensor<1x6x2x2xi8>
  %1 = ftensor.reshape %0 : tensor<1x2x3x2x2xi8>
  %2 = ftensor.transpose %1 {perm = array<i64: 0, 2, 1, 3, 4>} : tensor<1x3x2x2x2xi8>
  %3 = ftensor.reshape %2 : tensor<1x6x2x2xi8>
  func.return %3 : tensor<1x6x2x2xi8>
}
// CHECK-LABEL: func.func @shuffle
// CHECK:         [[X:%.+]] = ftensor.clamp
// CHECK-NEXT:    [[G:%.+]] = ftensor.gather [[X]] {axis = 1, indices = array<i64: 0, 3, 1, 4, 2, 5>}
// CHECK-NEXT:    func.return [[G]]

// Steps along channels, and steps of an argument, which is loaded so; a transpose of more than one
// axis.

func.func @stays(%x : tensor<1x4x4x4xi8>) -> (tensor<1x4x4x2xi8>, tensor<1x2x2x4xi8>, tensor<1x4x4x4xi8>) {
  %0 = ftensor.reduce_window %x {kind = "max", layout = "NHWC", window = array<i64: 1, 1>, strides = array<i64: 1, 1>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>, x_zp = 0 : i64} : tensor<1x4x4x4xi8>
  %1 = ftensor.slice %0 {starts = array<i64: 0, 0, 0, 0>, ends = array<i64: 1, 4, 4, 4>, steps = array<i64: 1, 1, 1, 2>} : tensor<1x4x4x2xi8>
  %2 = ftensor.slice %x {starts = array<i64: 0, 0, 0, 0>, ends = array<i64: 1, 4, 4, 4>, steps = array<i64: 1, 2, 2, 1>} : tensor<1x2x2x4xi8>
  %3 = ftensor.reshape %0 : tensor<1x4x2x2x4xi8>
  %4 = ftensor.transpose %3 {perm = array<i64: 0, 3, 2, 1, 4>} : tensor<1x2x2x4x4xi8>
  %5 = ftensor.reshape %4 : tensor<1x4x4x4xi8>
  func.return %1, %2, %5 : tensor<1x4x4x2xi8>, tensor<1x2x2x4xi8>, tensor<1x4x4x4xi8>
}
// CHECK-LABEL: func.func @stays
// CHECK:         ftensor.slice
// CHECK-NEXT:    ftensor.slice
// CHECK:         ftensor.transpose
