// RUN: furiosa-opt %s -p ftensor-unflatten-products | filecheck %s

// A fully connected layer of what a pool makes: its weight's rows are windows of the whole image.

func.func @nhwc(%x : tensor<2x6x2x3xi8>, %m : tensor<4xi32>, %s : tensor<4xi8>, %b : tensor<4xi32>) -> tensor<2x4xi8> {
  %w = ftensor.constant #graph.blob<i8 [4, 18] (1)> : tensor<4x18xi8>
  %0 = ftensor.reduce_window %x {kind = "max", layout = "NHWC", window = array<i64: 2, 1>, strides = array<i64: 2, 1>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>, x_zp = 0 : i64} : tensor<2x3x2x3xi8>
  %1 = ftensor.reshape %0 : tensor<2x18xi8>
  %2 = ftensor.matmul %1, %w, %b {a_zp = 5 : i64, transpose_b = 1 : i64} : tensor<2x4xi32>
  %3 = ftensor.rescale %2, %m, %s {rounding = "even"} : tensor<2x4xi8>
  func.return %3 : tensor<2x4xi8>
}
// CHECK-LABEL: func.func @nhwc
// CHECK:         [[P:%.+]] = ftensor.reduce_window
// CHECK:         [[W:%.+]] = ftensor.constant {{.*}} : tensor<4x3x2x3xi8>
// CHECK-NEXT:    [[C:%.+]] = ftensor.conv [[P]], [[W]], %b {layout = "NHWC"{{.*}}x_zp = 5{{.*}} : tensor<2x1x1x4xi32>
// CHECK-NEXT:    [[Q:%.+]] = ftensor.rescale [[C]], %m, %s
// CHECK-NEXT:    ftensor.reshape [[Q]] : tensor<2x4xi8>

// Of channels in front, the same behind a transpose, which is a view.

func.func @nchw(%x : tensor<1x3x4x2xi8>, %m : tensor<i32>, %s : tensor<i8>) -> tensor<1x2xi8> {
  %w = ftensor.constant #graph.blob<i8 [12, 2] (1)> : tensor<12x2xi8>
  %0 = ftensor.reduce_window %x {kind = "max", layout = "NCHW", window = array<i64: 2, 1>, strides = array<i64: 2, 1>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>, x_zp = 0 : i64} : tensor<1x3x2x2xi8>
  %1 = ftensor.clamp %0 {minimum = 0, maximum = 9} : tensor<1x3x2x2xi8>
  %2 = ftensor.reshape %1 : tensor<1x12xi8>
  %3 = ftensor.matmul %2, %w : tensor<1x2xi32>
  %4 = ftensor.rescale %3, %m, %s {rounding = "even"} : tensor<1x2xi8>
  func.return %4 : tensor<1x2xi8>
}
// CHECK-LABEL: func.func @nchw
// CHECK:         [[X:%.+]] = ftensor.clamp
// CHECK:         [[T:%.+]] = ftensor.transpose [[X]] {perm = array<i64: 0, 2, 3, 1>} : tensor<1x2x2x3xi8>
// CHECK-NEXT:    [[W:%.+]] = ftensor.constant {{.*}} : tensor<2x2x2x3xi8>
// CHECK-NEXT:    ftensor.conv [[T]], [[W]] {layout = "NHWC"

// An argument may be loaded in any order; an image of one pixel is flat.

func.func @stays(%x : tensor<1x3x4x2xi8>, %y : tensor<1x2x1x3xi8>, %m : tensor<i32>, %s : tensor<i8>) -> (tensor<1x2xi8>, tensor<1x2xi8>) {
  %w = ftensor.constant #graph.blob<i8 [24, 2] (1)> : tensor<24x2xi8>
  %v = ftensor.constant #graph.blob<i8 [3, 2] (1)> : tensor<3x2xi8>
  %0 = ftensor.reshape %x : tensor<1x24xi8>
  %1 = ftensor.matmul %0, %w : tensor<1x2xi32>
  %2 = ftensor.rescale %1, %m, %s {rounding = "even"} : tensor<1x2xi8>
  %3 = ftensor.reduce_window %y {kind = "max", layout = "NHWC", window = array<i64: 2, 1>, strides = array<i64: 1, 1>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>, x_zp = 0 : i64} : tensor<1x1x1x3xi8>
  %4 = ftensor.reshape %3 : tensor<1x3xi8>
  %5 = ftensor.matmul %4, %v : tensor<1x2xi32>
  %6 = ftensor.rescale %5, %m, %s {rounding = "even"} : tensor<1x2xi8>
  func.return %2, %6 : tensor<1x2xi8>, tensor<1x2xi8>
}
// CHECK-LABEL: func.func @stays
// CHECK-NOT:     ftensor.conv
