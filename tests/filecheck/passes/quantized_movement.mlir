// RUN: furiosa-opt %s -p graph-fold-quantization | filecheck %s

// What moves elements moves stored integers.

func.func @sinks(%x : tensor<2x4x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<8xf32> {
  %0 = graph.dequantize %x : tensor<2x4xf32>
  %1 = graph.transpose %0 {perm = array<i64: 1, 0>} : tensor<4x2xf32>
  %2 = graph.reshape %1 : tensor<8xf32>
  func.return %2 : tensor<8xf32>
}
// CHECK-LABEL: func.func @sinks
// CHECK:         [[T:%.+]] = graph.transpose %x
// CHECK-NEXT:    [[R:%.+]] = graph.reshape [[T]]
// CHECK-NEXT:    graph.dequantize [[R]] : tensor<8xf32>

func.func @rises(%x : tensor<2x4xf32>) -> tensor<8x!quant.uniform<i8:f32, 0.5:3>> {
  %0 = graph.reshape %x : tensor<8xf32>
  %1 = graph.quantize %0 : tensor<8x!quant.uniform<i8:f32, 0.5:3>>
  func.return %1 : tensor<8x!quant.uniform<i8:f32, 0.5:3>>
}
// CHECK-LABEL: func.func @rises
// CHECK:         [[Q:%.+]] = graph.quantize %x
// CHECK-NEXT:    graph.reshape [[Q]]

// Padding by a number that the type cannot hold is no movement of its integers.
func.func @pad(%x : tensor<4x!quant.uniform<i8:f32, 0.5>>) -> tensor<5xf32> {
  %0 = graph.dequantize %x : tensor<4xf32>
  %1 = graph.pad %0 {pads = array<i64: 1, 0>, value = 0.3} : tensor<5xf32>
  func.return %1 : tensor<5xf32>
}
// CHECK-LABEL: func.func @pad
// CHECK:         graph.pad{{.*}} : tensor<5xf32>

// Integer tensors of the file: a cast meets its counterpart.
func.func @casts(%x : tensor<2x4xui8>) -> tensor<8xui8> {
  %0 = graph.storage_cast %x : tensor<2x4x!quant.uniform<u8:f32, 0.5>>
  %1 = graph.storage_cast %0 : tensor<2x4xui8>
  %2 = graph.reshape %1 : tensor<8xui8>
  func.return %2 : tensor<8xui8>
}
// CHECK-LABEL: func.func @casts
// CHECK:         graph.reshape %x

// Stored integers have the order of the real numbers.

func.func @index(%x : tensor<2x4x!quant.uniform<u8:f32, 0.5:3>>) -> (tensor<2x1xi64>, tensor<2xi64>) {
  %0 = graph.dequantize %x : tensor<2x4xf32>
  %1 = graph.arg_max %0 {axis = 1} : tensor<2x1xi64>
  %2 = graph.storage_cast %x : tensor<2x4xui8>
  %3 = graph.arg_min %2 {axis = 1, keepdims = 0, select_last_index = 1} : tensor<2xi64>
  func.return %1, %3 : tensor<2x1xi64>, tensor<2xi64>
}
// CHECK-LABEL: func.func @index
// CHECK:         graph.arg_max %x {axis = 1}
// CHECK-NEXT:    graph.arg_min %x {axis = 1, keepdims = 0, select_last_index = 1}
// CHECK-NEXT:    func.return
