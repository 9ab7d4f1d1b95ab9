// RUN: furiosa-opt %s -p graph-fold-quantization | filecheck %s

// Dequantise - operator - quantise is the operator on quantised types.

func.func @operator(%x : tensor<1x8x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<1x8x!quant.uniform<i8:f32, 0.25>> {
  %0 = graph.dequantize %x : tensor<1x8xf32>
  %1 = graph.sigmoid %0 : tensor<1x8xf32>
  %2 = graph.quantize %1 : tensor<1x8x!quant.uniform<i8:f32, 0.25>>
  func.return %2 : tensor<1x8x!quant.uniform<i8:f32, 0.25>>
}
// CHECK-LABEL: func.func @operator
// CHECK:         [[Y:%.+]] = graph.sigmoid %x : tensor<1x8x!quant.uniform<i8:f32, 0.25>>
// CHECK-NEXT:    func.return [[Y]]

func.func @same_parameters(%x : tensor<8x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<8x!quant.uniform<i8:f32, 0.5:3>> {
  %0 = graph.dequantize %x : tensor<8xf32>
  %1 = graph.quantize %0 : tensor<8x!quant.uniform<i8:f32, 0.5:3>>
  func.return %1 : tensor<8x!quant.uniform<i8:f32, 0.5:3>>
}
// CHECK-LABEL: func.func @same_parameters
// CHECK:         func.return %x

func.func @requantise(%x : tensor<8x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<8x!quant.uniform<u8:f32, 0.25>> {
  %0 = graph.dequantize %x : tensor<8xf32>
  %1 = graph.quantize %0 : tensor<8x!quant.uniform<u8:f32, 0.25>>
  func.return %1 : tensor<8x!quant.uniform<u8:f32, 0.25>>
}
// CHECK-LABEL: func.func @requantise
// CHECK:         graph.quantize %x : tensor<8x!quant.uniform<u8:f32, 0.25>>

// Two values make no table; without a quantised form of the middle, all stays.
func.func @two_values(%x : tensor<8x!quant.uniform<i8:f32, 0.5>>, %y : tensor<8x!quant.uniform<i8:f32, 0.5>>) -> tensor<8x!quant.uniform<i8:f32, 0.25>> {
  %0 = graph.dequantize %x : tensor<8xf32>
  %1 = graph.dequantize %y : tensor<8xf32>
  %2 = graph.mul %0, %1 : tensor<8xf32>
  %3 = graph.exp %2 : tensor<8xf32>
  %4 = graph.quantize %3 : tensor<8x!quant.uniform<i8:f32, 0.25>>
  func.return %4 : tensor<8x!quant.uniform<i8:f32, 0.25>>
}
// CHECK-LABEL: func.func @two_values
// CHECK:         graph.exp {{.*}} : tensor<8xf32>
