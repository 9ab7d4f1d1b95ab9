// RUN: furiosa-opt %s -p fuse-kernels | filecheck %s

// The dot-product engine reads a matrix of weights row by row of the result: [K, N] becomes [N, K].

func.func private @npu_0(%x : tensor<1x3xi8>) -> tensor<1x2xi8> attributes {graph.placement = "npu"} {
  %w = ftensor.constant #graph.blob<i8 [3, 2] (1, 2, 3, 4, 5, 6)> : tensor<3x2xi8>
  %m = ftensor.constant #graph.blob<i32 [] (1)> : tensor<i32>
  %s = ftensor.constant #graph.blob<i8 [] (2)> : tensor<i8>
  %a = ftensor.matmul %x, %w : tensor<1x2xi32>
  %b = ftensor.rescale %a, %m, %s {rounding = "even"} : tensor<1x2xi8>
  func.return %b : tensor<1x2xi8>
}
// CHECK-LABEL: func.func private @npu_0
// CHECK:         ftensor.constant #graph.blob<i8 [2, 3] (1, 3, 5, 2, 4, 6)> : tensor<2x3xi8>
// CHECK:         warboy.dot
// CHECK:           ftensor.matmul {{.*}} {transpose_b = 1} : tensor<1x2xi32>
