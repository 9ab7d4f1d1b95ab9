// RUN: furiosa-opt %s -p fuse-kernels | filecheck %s

// A contraction takes what follows element by element, and the rescaling of the residual.

func.func private @npu_0(%x : tensor<1x2x4x4xi8>) -> tensor<1x2x4x4xi8> attributes {graph.placement = "npu"} {
  %w = "ftensor.constant"() <{value = #graph.blob<i8 [2, 1, 1, 2] (1, 2, 3, 4)>}> : () -> tensor<2x1x1x2xi8>
  %m = "ftensor.constant"() <{value = #graph.blob<i32 [] (1)>}> : () -> tensor<i32>
  %s = "ftensor.constant"() <{value = #graph.blob<i8 [] (2)>}> : () -> tensor<i8>
  %a = "ftensor.conv"(%x, %w) <{layout = "NCHW", strides = array<i64: 1, 1>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>, input_dilation = array<i64: 1, 1>, group = 1 : i64, x_zp = 0 : i64, weight_zp = 0 : i64}> : (tensor<1x2x4x4xi8>, tensor<2x1x1x2xi8>) -> tensor<1x2x4x4xi32>
  %b = "ftensor.rescale"(%a, %m, %s) <{input_zp = 0 : i64, output_zp = 0 : i64, minimum = -128 : i64, maximum = 127 : i64, rounding = "even"}> : (tensor<1x2x4x4xi32>, tensor<i32>, tensor<i8>) -> tensor<1x2x4x4xi8>
  %c = "ftensor.rescale"(%b, %m, %s) <{input_zp = 0 : i64, output_zp = 0 : i64, minimum = -1000 : i64, maximum = 1000 : i64, rounding = "even"}> : (tensor<1x2x4x4xi8>, tensor<i32>, tensor<i8>) -> tensor<1x2x4x4xi32>
  %d = "ftensor.rescale"(%x, %m, %s) <{input_zp = 5 : i64, output_zp = 0 : i64, minimum = -1000 : i64, maximum = 1000 : i64, rounding = "even"}> : (tensor<1x2x4x4xi8>, tensor<i32>, tensor<i8>) -> tensor<1x2x4x4xi32>
  %e = "ftensor.add"(%c, %d) : (tensor<1x2x4x4xi32>, tensor<1x2x4x4xi32>) -> tensor<1x2x4x4xi32>
  %f = "ftensor.rescale"(%e, %m, %s) <{input_zp = 0 : i64, output_zp = 0 : i64, minimum = -128 : i64, maximum = 127 : i64, rounding = "even"}> : (tensor<1x2x4x4xi32>, tensor<i32>, tensor<i8>) -> tensor<1x2x4x4xi8>
  func.return %f : tensor<1x2x4x4xi8>
}
// CHECK-LABEL: func.func private @npu_0
// CHECK:         [[R:%.+]] = "warboy.dot"(%x, %w, %m, %s, %x) ({
// CHECK:           "ftensor.conv"
// CHECK-NEXT:      "ftensor.rescale"
// CHECK-NEXT:      "ftensor.rescale"
// CHECK-NEXT:      "ftensor.rescale"({{.*}}) <{input_zp = 5 : i64
// CHECK-NEXT:      "ftensor.add"
// CHECK-NEXT:      "ftensor.rescale"
// CHECK-NEXT:      "warboy.yield"
// CHECK:         func.return [[R]] : tensor<1x2x4x4xi8>
