// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// MAXIMUM compares the stored integers, whatever their scales.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%a: tensor<1x8x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "a"}, %b: tensor<1x8x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "b"})
      -> tensor<1x8x!quant.uniform<i8:f32, 0.5:3>> {
    %y = graph.maximum %a, %b : tensor<1x8x!quant.uniform<i8:f32, 0.5:3>> loc("y")
    func.return %y : tensor<1x8x!quant.uniform<i8:f32, 0.5:3>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y = ftensor.maximum %a, %b : tensor<1x8xi8>
// CHECK-NEXT:    func.return %y : tensor<1x8xi8>
