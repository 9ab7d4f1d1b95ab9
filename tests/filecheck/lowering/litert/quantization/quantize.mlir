// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// QUANTIZE of int8 or uint8 to int8 or uint8 (``Requantize``).
//
// 0.5 / 0.25 is 2^30 over 2^29, rounded twice.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%x: tensor<1x8x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x8x!quant.uniform<i8:f32, 0.25:-5>> {
    %y = graph.quantize %x : tensor<1x8x!quant.uniform<i8:f32, 0.25:-5>> loc("y")
    func.return %y : tensor<1x8x!quant.uniform<i8:f32, 0.25:-5>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_multiplier = ftensor.constant #graph.blob<i32 [] (1073741824)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (29)> : tensor<i8>
// CHECK-NEXT:    %y = ftensor.rescale %x, %y_multiplier, %y_shift {input_zp = 3, output_zp = -5, rounding = "double"} : tensor<1x8xi8>
// CHECK-NEXT:    func.return %y : tensor<1x8xi8>
