// RUN: furiosa-opt %s -p 'assign-target{npu=mlir},ftensor-to-linalg' | filecheck %s

// Factors that are one number for all elements are numbers of the body, and so is what follows from
// them: nothing is shifted but the product.
// CHECK-LABEL: @npu_0(
// CHECK: linalg.generic
// CHECK: arith.constant 1024 : i64
// CHECK-NOT: arith.shli
// CHECK: arith.shrsi
// CHECK-NOT: arith.shrsi
// CHECK: linalg.yield
func.func @npu_0(%x: tensor<4xi32>) -> tensor<4xi8> attributes {graph.placement = "npu"} {
  %m = ftensor.constant #graph.blob<i32 [] (12345)> : tensor<i32>
  %s = ftensor.constant #graph.blob<i8 [] (11)> : tensor<i8>
  %0 = ftensor.rescale %x, %m, %s {rounding = "up"} : tensor<4xi8>
  func.return %0 : tensor<4xi8>
}

// Those of channels have no dimension that is 1, and nothing is reshaped.
// CHECK-LABEL: @npu_1(
// CHECK: arith.constant dense<[1, 2]> : tensor<2xi32>
// CHECK-NOT: tensor.collapse_shape
// CHECK: func.return
func.func @npu_1(%x: tensor<1x2x3x3xi32>) -> tensor<1x2x3x3xi8> attributes {graph.placement = "npu"} {
  %m = ftensor.constant #graph.blob<i32 [2, 1, 1] (1, 2)> : tensor<2x1x1xi32>
  %s = ftensor.constant #graph.blob<i8 [2, 1, 1] (11, 12)> : tensor<2x1x1xi8>
  %0 = ftensor.rescale %x, %m, %s {rounding = "up"} : tensor<1x2x3x3xi8>
  func.return %0 : tensor<1x2x3x3xi8>
}

// A table of bytes is held in 32 bits, which vectors of native code are gathered from.
// CHECK-LABEL: @npu_2(
// CHECK: tensor.extract %{{.*}} : tensor<256xi32>
// CHECK: arith.trunci %{{.*}} : i32 to i8
func.func @npu_2(%x: tensor<4xi8>) -> tensor<4xi8> attributes {graph.placement = "npu"} {
  %t = ftensor.constant #graph.blob<i8 [256] (7)> : tensor<256xi8>
  %0 = ftensor.lookup %x, %t : tensor<4xi8>
  func.return %0 : tensor<4xi8>
}

// Weights less a zero point are bytes and a number, by which the sums of rows are multiplied.
// CHECK-LABEL: @npu_3(
// CHECK-NOT: xi16
// CHECK: iterator_types = ["parallel", "parallel", "reduction"]
// CHECK-SAME: tensor<2x16xi8>
// CHECK: iterator_types = ["parallel", "reduction"]
// CHECK-NOT: xi16
// CHECK: func.return
func.func @npu_3(%x: tensor<1x1x3x16xi8>) -> tensor<1x1x3x2xi32> attributes {graph.placement = "npu"} {
  %w = ftensor.constant #graph.blob<i8 [2, 1, 1, 16] (120)> : tensor<2x1x1x16xi8>
  %0 = ftensor.conv %x, %w {layout = "NHWC", weight_zp = -100} : tensor<1x1x3x2xi32>
  func.return %0 : tensor<1x1x3x2xi32>
}

func.func @main() {
  func.return
}
