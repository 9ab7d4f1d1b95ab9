// RUN: furiosa-opt %s -p ftensor-channels-last | filecheck %s

// A depthwise convolution in NCHW is one in NHWC between two transpositions; factors of channels
// are where the channels are.
// CHECK-LABEL: @npu_0(
// CHECK-SAME: %x: tensor<1x4x5x5xi8>
// CHECK: %[[LAST:.*]] = ftensor.transpose %x {perm = array<i64: 0, 2, 3, 1>} : tensor<1x5x5x4xi8>
// CHECK: %[[SUMS:.*]] = ftensor.conv %[[LAST]], %k
// CHECK-SAME: layout = "NHWC"
// CHECK-SAME: tensor<1x3x3x4xi32>
// CHECK: ftensor.constant
// CHECK-SAME: tensor<1x1x1x4xi32>
// CHECK: ftensor.rescale %[[SUMS]]
// CHECK-SAME: tensor<1x3x3x4xi8>
// CHECK: ftensor.transpose
// CHECK-SAME: perm = array<i64: 0, 3, 1, 2>
// CHECK-NOT: NCHW
func.func @npu_0(%x: tensor<1x4x5x5xi8>) -> tensor<1x4x3x3xi8> attributes {graph.placement = "npu"} {
  %k = ftensor.constant #graph.blob<i8 [4, 3, 3, 1] (1)> : tensor<4x3x3x1xi8>
  %m = ftensor.constant #graph.blob<i32 [4, 1, 1] (1, 2, 3, 4)> : tensor<4x1x1xi32>
  %s = ftensor.constant #graph.blob<i8 [] (31)> : tensor<i8>
  %0 = ftensor.conv %x, %k {layout = "NCHW", group = 4} : tensor<1x4x3x3xi32>
  %1 = ftensor.rescale %0, %m, %s {rounding = "near_even"} : tensor<1x4x3x3xi8>
  func.return %1 : tensor<1x4x3x3xi8>
}
