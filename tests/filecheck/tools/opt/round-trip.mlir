// RUN: furiosa-opt %s --print-debuginfo | filecheck %s
// RUN: furiosa-opt %s --print-debuginfo -o %t && furiosa-opt %t --print-debuginfo | filecheck %s

// Quantised types, constants in line, origins and locations survive text.

// CHECK: builtin.module attributes {graph.source = "onnx"} {
builtin.module attributes {graph.source = "onnx"} {
  // CHECK: func.func @main(%x: tensor<1x2x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "input"}
  func.func @main(%x: tensor<1x2x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "input"})
      -> (tensor<1x2x!quant.uniform<u8:f32, 0.25:128>> {graph.name = "output"}) {
    // CHECK: #graph.blob<i32 [2] (-1, 7)>{{.*}}!quant.uniform<i32:f32:0, {0.5, 0.25:1}>> loc("weights/\C3\A9")
    %w = graph.constant #graph.blob<i32 [2] (-1, 7)>
        : tensor<2x!quant.uniform<i32:f32:0, {0.5, 0.25:1}>> loc("weights/é")
    // CHECK: graph.add %x, %w{{.*}}loc(#a)
    %y = graph.add %x, %w : tensor<1x2x!quant.uniform<u8:f32, 0.25:128>> loc(fused["a", "b c"])
    func.return %y : tensor<1x2x!quant.uniform<u8:f32, 0.25:128>>
  }
}
// CHECK: #a = loc(fused["a", "b c"])
