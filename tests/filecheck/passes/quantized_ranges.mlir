// RUN: furiosa-opt %s -p graph-fold-quantization | filecheck %s

// Quantising is monotone: a clip before it is a clip after it, or nothing where it saturates anyway.

func.func @saturates(%x : tensor<4xf32>) -> tensor<4x!quant.uniform<i8:f32, 0.5:-128>> {
  %0 = graph.relu %x : tensor<4xf32>
  %1 = graph.quantize %0 : tensor<4x!quant.uniform<i8:f32, 0.5:-128>>
  func.return %1 : tensor<4x!quant.uniform<i8:f32, 0.5:-128>>
}
// CHECK-LABEL: func.func @saturates
// CHECK:         graph.quantize %x
// CHECK-NEXT:    func.return

func.func @binds(%x : tensor<4xf32>) -> tensor<4x!quant.uniform<i8:f32, 0.5>> {
  %0 = graph.clip %x {minimum = 0.0, maximum = 6.0} : tensor<4xf32>
  %1 = graph.quantize %0 : tensor<4x!quant.uniform<i8:f32, 0.5>>
  func.return %1 : tensor<4x!quant.uniform<i8:f32, 0.5>>
}
// CHECK-LABEL: func.func @binds
// CHECK:         [[Q:%.+]] = graph.quantize %x
// CHECK-NEXT:    graph.clip [[Q]] {minimum = 0.0, maximum = 6.0}
