// RUN: furiosa-opt %s -p graph-fold-quantization | filecheck %s

// Real constants beside one quantised value: one factor and one offset a channel.

func.func @affine(%x : tensor<1x2x3x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x2x3x!quant.uniform<i8:f32, 0.25>> {
  %mean = graph.constant #graph.blob<f32 [2, 1] (1.0, 2.0)> : tensor<2x1xf32>
  %deviation = graph.constant #graph.blob<f32 [2, 1] (2.0, 4.0)> : tensor<2x1xf32>
  %0 = graph.dequantize %x : tensor<1x2x3xf32>
  %1 = graph.sub %0, %mean : tensor<1x2x3xf32>
  %2 = graph.div %1, %deviation : tensor<1x2x3xf32>
  %3 = graph.quantize %2 : tensor<1x2x3x!quant.uniform<i8:f32, 0.25>>
  func.return %3 : tensor<1x2x3x!quant.uniform<i8:f32, 0.25>>
}
// CHECK-LABEL: func.func @affine
// CHECK:         graph.affine %x {factor = #graph.blob<f64 [2, 1] (0.5, 0.25)>, offset = #graph.blob<f64 [2, 1] (-0.5, -0.5)>}
// CHECK:         func.return

// The float value in between is read by others: it stays.

func.func @shared(%x : tensor<2x3x!quant.uniform<i8:f32, 0.5>>) -> (tensor<2x3x!quant.uniform<i8:f32, 0.25>>, tensor<2x3xf32>) {
  %c = graph.constant #graph.blob<f32 [2, 1] (1.0, 2.0)> : tensor<2x1xf32>
  %0 = graph.dequantize %x : tensor<2x3xf32>
  %1 = graph.mul %0, %c : tensor<2x3xf32>
  %2 = graph.quantize %1 : tensor<2x3x!quant.uniform<i8:f32, 0.25>>
  func.return %2, %1 : tensor<2x3x!quant.uniform<i8:f32, 0.25>>, tensor<2x3xf32>
}
// CHECK-LABEL: func.func @shared
// CHECK:         graph.dequantize %x
// CHECK-NEXT:    graph.mul
// CHECK-NEXT:    graph.quantize

// The greatest of three: quantising is monotone, so each is quantised as the result is.

func.func @maximum(%x : tensor<4x!quant.uniform<i8:f32, 0.5>>, %y : tensor<4x!quant.uniform<i8:f32, 0.25>>) -> tensor<4x!quant.uniform<i8:f32, 0.25>> {
  %c = graph.constant #graph.blob<f32 [] (1.0)> : tensor<f32>
  %0 = graph.dequantize %x : tensor<4xf32>
  %1 = graph.dequantize %y : tensor<4xf32>
  %2 = graph.maximum %0, %1 : tensor<4xf32>
  %3 = graph.maximum %2, %c : tensor<4xf32>
  %4 = graph.quantize %3 : tensor<4x!quant.uniform<i8:f32, 0.25>>
  func.return %4 : tensor<4x!quant.uniform<i8:f32, 0.25>>
}
// CHECK-LABEL: func.func @maximum
// CHECK-NOT:     quantize"(%y)
// CHECK:         [[C:%.+]] = graph.constant #graph.blob<i8 [] (4)>
// CHECK-NOT:     f32>
// CHECK:         graph.maximum {{.*}}, [[C]]

// Real slopes stay real.

func.func @p_relu(%x : tensor<2x3x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x3x!quant.uniform<i8:f32, 0.25>> {
  %c = graph.constant #graph.blob<f32 [2, 1] (0.125, 0.5)> : tensor<2x1xf32>
  %0 = graph.dequantize %x : tensor<2x3xf32>
  %1 = graph.p_relu %0, %c : tensor<2x3xf32>
  %2 = graph.quantize %1 : tensor<2x3x!quant.uniform<i8:f32, 0.25>>
  func.return %2 : tensor<2x3x!quant.uniform<i8:f32, 0.25>>
}
// CHECK-LABEL: func.func @p_relu
// CHECK:         graph.p_relu %x, %{{.*}} : tensor<2x3x!quant.uniform<i8:f32, 0.25>>

// A choice is one between stored integers; the constant becomes one of them.

func.func @where(%c : tensor<4xi1>, %x : tensor<4x!quant.uniform<i8:f32, 0.5>>) -> tensor<4x!quant.uniform<i8:f32, 0.25>> {
  %k = graph.constant #graph.blob<f32 [] (-1.0)> : tensor<f32>
  %0 = graph.dequantize %x : tensor<4xf32>
  %1 = graph.where %c, %0, %k : tensor<4xf32>
  %2 = graph.quantize %1 : tensor<4x!quant.uniform<i8:f32, 0.25>>
  func.return %2 : tensor<4x!quant.uniform<i8:f32, 0.25>>
}
// CHECK-LABEL: func.func @where
// CHECK:         [[K:%.+]] = graph.constant #graph.blob<i8 [] (-4)>
// CHECK-NEXT:    graph.where %c, %x, [[K]] : tensor<4x!quant.uniform<i8:f32, 0.25>>
// CHECK-NEXT:    func.return

// One of the two is a float that the network computes: it stays.

func.func @where_of_floats(%c : tensor<4xi1>, %x : tensor<4x!quant.uniform<i8:f32, 0.5>>, %f : tensor<4xf32>) -> tensor<4x!quant.uniform<i8:f32, 0.25>> {
  %0 = graph.dequantize %x : tensor<4xf32>
  %1 = graph.where %c, %0, %f : tensor<4xf32>
  %2 = graph.quantize %1 : tensor<4x!quant.uniform<i8:f32, 0.25>>
  func.return %2 : tensor<4x!quant.uniform<i8:f32, 0.25>>
}
// CHECK-LABEL: func.func @where_of_floats
// CHECK:         graph.where %c, %0, %f : tensor<4xf32>
