// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// REDUCE_MAX compares the stored integers; LiteRT demands equal quantisation.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%x: tensor<1x3x5x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x3x1x!quant.uniform<i8:f32, 0.5:3>> {
    %y = graph.reduce_max %x {axes = array<i64: 2>} : tensor<1x3x1x!quant.uniform<i8:f32, 0.5:3>> loc("y")
    func.return %y : tensor<1x3x1x!quant.uniform<i8:f32, 0.5:3>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y = ftensor.reduce %x {kind = "max", axes = array<i64: 2>, x_zp = 3} : tensor<1x3x1xi8>
// CHECK-NEXT:    func.return %y : tensor<1x3x1xi8>
