// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// SQUARED_DIFFERENCE (int8 only in LiteRT): as SUB with 7 bits more, squared.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%a: tensor<1x8x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "a"}, %b: tensor<1x8x!quant.uniform<i8:f32, 0.25:-5>> {graph.name = "b"})
      -> tensor<1x8x!quant.uniform<i8:f32, 1.0:7>> {
    %y = graph.squared_difference %a, %b : tensor<1x8x!quant.uniform<i8:f32, 1.0:7>> loc("y")
    func.return %y : tensor<1x8x!quant.uniform<i8:f32, 1.0:7>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_table = ftensor.constant #y_table : tensor<256xi32>
// CHECK-NEXT:    %y = ftensor.lookup %a, %y_table : tensor<1x8xi32>
// CHECK-NEXT:    %y_table_1 = ftensor.constant #y_table_1 : tensor<256xi32>
// CHECK-NEXT:    %y_1 = ftensor.lookup %b, %y_table_1 : tensor<1x8xi32>
// CHECK-NEXT:    %y_2 = ftensor.sub %y, %y_1 : tensor<1x8xi32>
// CHECK-NEXT:    %y_3 = ftensor.mul %y_2, %y_2 : tensor<1x8xi32>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [] (1073741824)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (44)> : tensor<i8>
// CHECK-NEXT:    %y_4 = ftensor.rescale %y_3, %y_multiplier, %y_shift {output_zp = 7, rounding = "double"} : tensor<1x8xi8>
// CHECK-NEXT:    func.return %y_4 : tensor<1x8xi8>
// CHECK:       #y_table = #graph.blob<"ff6d6c5c0a3964b66ae216bdf562d60769190c63c1c05166d1e27ca88255be8a">
// CHECK:       #y_table_1 = #graph.blob<"75dff7e44efbd5f0a7f4083813c40d1ccdade821596b4db9537311ea621ed6fd">
