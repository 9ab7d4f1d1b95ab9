// RUN: furiosa-opt %s -p fuse-kernels | filecheck %s

// A contraction takes what follows element by element, and the rescaling of the residual.

func.func private @npu_0(%x : tensor<1x2x4x4xi8>) -> tensor<1x2x4x4xi8> attributes {graph.placement = "npu"} {
  %w = ftensor.constant #graph.blob<i8 [2, 1, 1, 2] (1, 2, 3, 4)> : tensor<2x1x1x2xi8>
  %m = ftensor.constant #graph.blob<i32 [] (1)> : tensor<i32>
  %s = ftensor.constant #graph.blob<i8 [] (2)> : tensor<i8>
  %a = ftensor.conv %x, %w {layout = "NCHW"} : tensor<1x2x4x4xi32>
  %b = ftensor.rescale %a, %m, %s {rounding = "even"} : tensor<1x2x4x4xi8>
  %c = ftensor.rescale %b, %m, %s {minimum = -1000, maximum = 1000, rounding = "even"} : tensor<1x2x4x4xi32>
  %d = ftensor.rescale %x, %m, %s {input_zp = 5, minimum = -1000, maximum = 1000, rounding = "even"} : tensor<1x2x4x4xi32>
  %e = ftensor.add %c, %d : tensor<1x2x4x4xi32>
  %f = ftensor.rescale %e, %m, %s {rounding = "even"} : tensor<1x2x4x4xi8>
  func.return %f : tensor<1x2x4x4xi8>
}
// CHECK-LABEL: func.func private @npu_0
// CHECK:         [[R:%.+]] = warboy.dot %x_1 = %x, %weight = %w, %multiplier = %m, %shift = %s, %x_2 = %x : tensor<1x2x4x4xi8> {
// CHECK:           ftensor.conv %x_1, %weight
// CHECK:           ftensor.rescale
// CHECK:           ftensor.rescale
// CHECK:           ftensor.rescale {{.*}} {input_zp = 5
// CHECK:           ftensor.add
// CHECK:           ftensor.rescale
// CHECK-NEXT:      warboy.yield
// CHECK:         func.return [[R]] : tensor<1x2x4x4xi8>
