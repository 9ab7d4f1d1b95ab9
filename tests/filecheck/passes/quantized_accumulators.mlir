// RUN: furiosa-opt %s -p graph-fold-quantization | filecheck %s

// The accumulator itself is the result: i32 leaves the operator.

func.func @accumulator(%x : tensor<2x2x!quant.uniform<i8:f32, 1.0:3>>) -> tensor<2x2x!quant.uniform<i32:f32, 1.0>> {
  %w = graph.constant #graph.blob<i8 [2, 2] (1, 2, 3, 4)> : tensor<2x2x!quant.uniform<i8:f32, 1.0>>
  %0 = graph.dequantize %x : tensor<2x2xf32>
  %1 = graph.dequantize %w : tensor<2x2xf32>
  %2 = graph.mat_mul %0, %1 : tensor<2x2xf32>
  %3 = graph.quantize %2 : tensor<2x2x!quant.uniform<i32:f32, 1.0>>
  func.return %3 : tensor<2x2x!quant.uniform<i32:f32, 1.0>>
}
// CHECK-LABEL: func.func @accumulator
// CHECK:         graph.mat_mul %x, %{{.*}} : tensor<2x2x!quant.uniform<i32:f32, 1.0>>
// CHECK-NEXT:    func.return

// What scales it joins the weight's scale: one quantised operator.

func.func @scaled(%x : tensor<2x2x!quant.uniform<i8:f32, 1.0:3>>) -> tensor<2x2x!quant.uniform<i8:f32, 0.5>> {
  %w = graph.constant #graph.blob<i8 [2, 2] (1, 2, 3, 4)> : tensor<2x2x!quant.uniform<i8:f32, 1.0>>
  %c = graph.constant #graph.blob<f32 [2] (0.25, 0.125)> : tensor<2xf32>
  %0 = graph.mat_mul %x, %w : tensor<2x2x!quant.uniform<i32:f32, 1.0>>
  %1 = graph.dequantize %0 : tensor<2x2xf32>
  %2 = graph.mul %1, %c : tensor<2x2xf32>
  %3 = graph.quantize %2 : tensor<2x2x!quant.uniform<i8:f32, 0.5>>
  func.return %3 : tensor<2x2x!quant.uniform<i8:f32, 0.5>>
}
// CHECK-LABEL: func.func @scaled
// CHECK:         graph.constant #graph.blob<i8 [2, 2] (1, 2, 3, 4)> : tensor<2x2x!quant.uniform<i8:f32:1, {0.25, 0.125}>>
// CHECK-NEXT:    graph.mat_mul %x, %{{.*}} : tensor<2x2x!quant.uniform<i8:f32, 0.5>>
// CHECK-NEXT:    func.return

// A factor that is not positive makes no scale: it is applied to the accumulator.

func.func @negative(%x : tensor<2x2x!quant.uniform<i8:f32, 1.0:3>>) -> tensor<2x2x!quant.uniform<i8:f32, 0.5>> {
  %w = graph.constant #graph.blob<i8 [2, 2] (1, 2, 3, 4)> : tensor<2x2x!quant.uniform<i8:f32, 1.0>>
  %c = graph.constant #graph.blob<f32 [2] (0.25, -0.125)> : tensor<2xf32>
  %0 = graph.mat_mul %x, %w : tensor<2x2x!quant.uniform<i32:f32, 1.0>>
  %1 = graph.dequantize %0 : tensor<2x2xf32>
  %2 = graph.mul %1, %c : tensor<2x2xf32>
  %3 = graph.quantize %2 : tensor<2x2x!quant.uniform<i8:f32, 0.5>>
  func.return %3 : tensor<2x2x!quant.uniform<i8:f32, 0.5>>
}
// CHECK-LABEL: func.func @negative
// CHECK:         [[ACC:%.+]] = graph.mat_mul %x, %w : tensor<2x2x!quant.uniform<i32:f32, 1.0>>
// CHECK-NEXT:    graph.affine [[ACC]] {factor = #graph.blob<f64 [2] (0.25, -0.125)>, offset = #graph.blob<f64 [2] (0.0, 0.0)>}
// CHECK:         func.return

// A batch normalisation after a convolution with a bias: (v + b - mean) * scale / sqrt(variance) + shift.

func.func @batch_norm(%x : tensor<1x1x2x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x2x2x2x!quant.uniform<i8:f32, 0.25>> {
  %w = graph.constant #graph.blob<i8 [2, 1, 1, 1] (5, -128)> : tensor<2x1x1x1x!quant.uniform<i8:f32:0, {0.5, 0.25}>>
  %b = graph.constant #graph.blob<f32 [2] (1.5, 2.5)> : tensor<2xf32>
  %scale = graph.constant #graph.blob<f32 [2] (1.0, -3.0)> : tensor<2xf32>
  %shift = graph.constant #graph.blob<f32 [2] (0.125, 0.0)> : tensor<2xf32>
  %mean = graph.constant #graph.blob<f32 [2] (1.0, 0.5)> : tensor<2xf32>
  %variance = graph.constant #graph.blob<f32 [2] (4.0, 1.0)> : tensor<2xf32>
  %0 = graph.dequantize %x : tensor<1x1x2x2xf32>
  %1 = graph.dequantize %w : tensor<2x1x1x1xf32>
  %2 = graph.conv %0, %1, %b {layout = "NCHW", kernel_layout = "OIHW"} : tensor<1x2x2x2xf32>
  %3 = graph.batch_norm %2, %scale, %shift, %mean, %variance {epsilon = 0.0} : tensor<1x2x2x2xf32>
  %4 = graph.relu %3 : tensor<1x2x2x2xf32>
  %5 = graph.quantize %4 : tensor<1x2x2x2x!quant.uniform<i8:f32, 0.25>>
  func.return %5 : tensor<1x2x2x2x!quant.uniform<i8:f32, 0.25>>
}
// CHECK-LABEL: func.func @batch_norm
// CHECK:         [[ACC:%.+]] = graph.conv %x, %w {{.*}} : tensor<1x2x2x2x!quant.uniform<i32:f32:1, {0.25, 0.125}>
// CHECK-NEXT:    [[Y:%.+]] = graph.affine [[ACC]] {factor = #graph.blob<f64 [2, 1, 1] (0.5, -3.0)>, offset = #graph.blob<f64 [1, 2, 1, 1] (0.375, -6.0)>}
// CHECK:         graph.relu [[Y]]
// CHECK-NEXT:    func.return

// Somebody else reads the float value in between: it stays.

func.func @shared(%x : tensor<2x2x!quant.uniform<i8:f32, 1.0:3>>) -> (tensor<2x2x!quant.uniform<i8:f32, 0.5>>, tensor<2x2xf32>) {
  %w = graph.constant #graph.blob<i8 [2, 2] (1, 2, 3, 4)> : tensor<2x2x!quant.uniform<i8:f32, 1.0>>
  %c = graph.constant #graph.blob<f32 [2] (0.25, -0.125)> : tensor<2xf32>
  %0 = graph.dequantize %x : tensor<2x2xf32>
  %1 = graph.dequantize %w : tensor<2x2xf32>
  %2 = graph.mat_mul %0, %1 : tensor<2x2xf32>
  %3 = graph.mul %2, %c : tensor<2x2xf32>
  %4 = graph.quantize %3 : tensor<2x2x!quant.uniform<i8:f32, 0.5>>
  func.return %4, %2 : tensor<2x2x!quant.uniform<i8:f32, 0.5>>, tensor<2x2xf32>
}
// CHECK-LABEL: func.func @shared
// CHECK:         graph.mat_mul{{.*}} : tensor<2x2xf32>
// CHECK-NEXT:    graph.mul
// CHECK-NEXT:    graph.quantize

// Integers of another unit than the accumulator's have been rounded: what follows is not applied to the accumulator.

func.func @other_unit(%x : tensor<2x2x!quant.uniform<i8:f32, 1.0:3>>) -> tensor<2x2x!quant.uniform<i8:f32, 0.5>> {
  %w = graph.constant #graph.blob<i8 [2, 2] (1, 2, 3, 4)> : tensor<2x2x!quant.uniform<i8:f32, 1.0>>
  %c = graph.constant #graph.blob<f32 [2] (0.25, -0.125)> : tensor<2xf32>
  %0 = graph.mat_mul %x, %w : tensor<2x2x!quant.uniform<i32:f32, 2.0>>
  %1 = graph.dequantize %0 : tensor<2x2xf32>
  %2 = graph.mul %1, %c : tensor<2x2xf32>
  %3 = graph.quantize %2 : tensor<2x2x!quant.uniform<i8:f32, 0.5>>
  func.return %3 : tensor<2x2x!quant.uniform<i8:f32, 0.5>>
}
// CHECK-LABEL: func.func @other_unit
// CHECK:         graph.mat_mul{{.*}} : tensor<2x2x!quant.uniform<i32:f32, 2.0>>
// CHECK-NOT:     graph.affine
// CHECK:         func.return

// So have those of a Gemm with a factor of its own.

func.func @alpha(%x : tensor<2x2x!quant.uniform<i8:f32, 1.0:3>>) -> tensor<2x2x!quant.uniform<i8:f32, 0.5>> {
  %w = graph.constant #graph.blob<i8 [2, 2] (1, 2, 3, 4)> : tensor<2x2x!quant.uniform<i8:f32, 1.0>>
  %c = graph.constant #graph.blob<f32 [2] (0.25, -0.125)> : tensor<2xf32>
  %0 = graph.gemm %x, %w {alpha = 0.5} : tensor<2x2x!quant.uniform<i32:f32, 1.0>>
  %1 = graph.dequantize %0 : tensor<2x2xf32>
  %2 = graph.mul %1, %c : tensor<2x2xf32>
  %3 = graph.quantize %2 : tensor<2x2x!quant.uniform<i8:f32, 0.5>>
  func.return %3 : tensor<2x2x!quant.uniform<i8:f32, 0.5>>
}
// CHECK-LABEL: func.func @alpha
// CHECK:         graph.gemm {{.*}} {alpha = 0.5
// CHECK-NOT:     graph.affine
// CHECK:         func.return

// What stands behind a transpose is applied before it, along the axis that its numbers had there.

func.func @transposed(%x : tensor<2x2x!quant.uniform<i8:f32, 1.0:3>>) -> tensor<2x2x!quant.uniform<i8:f32, 0.5>> {
  %w = graph.constant #graph.blob<i8 [2, 2] (1, 2, 3, 4)> : tensor<2x2x!quant.uniform<i8:f32, 1.0>>
  %c = graph.constant #graph.blob<f32 [2, 1] (0.25, -0.125)> : tensor<2x1xf32>
  %0 = graph.mat_mul %x, %w : tensor<2x2x!quant.uniform<i32:f32, 1.0>>
  %1 = graph.dequantize %0 : tensor<2x2xf32>
  %2 = graph.transpose %1 {perm = array<i64: 1, 0>} : tensor<2x2xf32>
  %3 = graph.mul %2, %c : tensor<2x2xf32>
  %4 = graph.quantize %3 : tensor<2x2x!quant.uniform<i8:f32, 0.5>>
  func.return %4 : tensor<2x2x!quant.uniform<i8:f32, 0.5>>
}
// CHECK-LABEL: func.func @transposed
// CHECK:         [[ACC:%.+]] = graph.mat_mul %x, %w : tensor<2x2x!quant.uniform<i32:f32, 1.0>>
// CHECK-NEXT:    [[SUM:%.+]] = graph.affine [[ACC]] {factor = #graph.blob<f64 [1, 2] (0.25, -0.125)>, offset = #graph.blob<f64 [1, 2] (0.0, 0.0)>}
// CHECK:         graph.transpose [[SUM]] {perm = array<i64: 1, 0>} : tensor<2x2x!quant.uniform<i8:f32, 0.5>>
// CHECK-NEXT:    func.return
