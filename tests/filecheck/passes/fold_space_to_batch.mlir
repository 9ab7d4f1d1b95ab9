// RUN: furiosa-opt %s -p graph-fold-space-to-batch | filecheck %s

// Of the padding, what is cropped again is left out; the activation moves behind.
func.func private @npu_0(%x : tensor<1x6x6x2x!quant.uniform<i8:f32, 0.5:3>>, %w : tensor<4x3x3x2x!quant.uniform<i8:f32, 0.25>>) -> tensor<1x4x6x4x!quant.uniform<i8:f32, 1.0>> attributes {graph.placement = "npu"} {
  %1 = graph.space_to_batch %x {blocks = array<i64: 2, 2>, pads = array<i64: 1, 2, 3, 2>} : tensor<4x5x5x2x!quant.uniform<i8:f32, 0.5:3>>
  %2 = graph.conv %1, %w {layout = "NHWC", kernel_layout = "OHWI"} : tensor<4x3x3x4x!quant.uniform<i8:f32, 1.0>>
  %3 = graph.relu %2 : tensor<4x3x3x4x!quant.uniform<i8:f32, 1.0>>
  %4 = graph.batch_to_space %3 {blocks = array<i64: 2, 2>, crops = array<i64: 1, 0, 1, 0>} : tensor<1x4x6x4x!quant.uniform<i8:f32, 1.0>>
  func.return %4 : tensor<1x4x6x4x!quant.uniform<i8:f32, 1.0>>
}
// CHECK-LABEL: func.func private @npu_0
// CHECK:         [[C:%.+]] = graph.conv %x, %w
// CHECK-SAME:    pads = array<i64: 0, 2, 2, 2>, dilations = array<i64: 2, 2>
// CHECK-NEXT:    : tensor
// CHECK-NEXT:    graph.relu [[C]]
// CHECK-NEXT:    func.return

// More is cropped than was padded: no convolution has such padding.
func.func private @npu_1(%x : tensor<1x6x6x2x!quant.uniform<i8:f32, 0.5:3>>, %w : tensor<4x3x3x2x!quant.uniform<i8:f32, 0.25>>) -> tensor<1x1x2x4x!quant.uniform<i8:f32, 1.0>> attributes {graph.placement = "npu"} {
  %1 = graph.space_to_batch %x {blocks = array<i64: 2, 2>, pads = array<i64: 0, 0, 0, 0>} : tensor<4x3x3x2x!quant.uniform<i8:f32, 0.5:3>>
  %2 = graph.conv %1, %w {layout = "NHWC", kernel_layout = "OHWI"} : tensor<4x1x1x4x!quant.uniform<i8:f32, 1.0>>
  %3 = graph.batch_to_space %2 {blocks = array<i64: 2, 2>, crops = array<i64: 1, 0, 0, 0>} : tensor<1x1x2x4x!quant.uniform<i8:f32, 1.0>>
  func.return %3 : tensor<1x1x2x4x!quant.uniform<i8:f32, 1.0>>
}
// CHECK-LABEL: func.func private @npu_1
// CHECK:         graph.batch_to_space

// On the host the operators stay what the file says.
func.func private @host_2(%x : tensor<1x6x6x2xf32>, %w : tensor<4x3x3x2xf32>) -> tensor<1x2x2x4xf32> attributes {graph.placement = "host"} {
  %1 = graph.space_to_batch %x {blocks = array<i64: 2, 2>, pads = array<i64: 0, 0, 0, 0>} : tensor<4x3x3x2xf32>
  %2 = graph.conv %1, %w {layout = "NHWC", kernel_layout = "OHWI"} : tensor<4x1x1x4xf32>
  %3 = graph.batch_to_space %2 {blocks = array<i64: 2, 2>, crops = array<i64: 0, 0, 0, 0>} : tensor<1x2x2x4xf32>
  func.return %3 : tensor<1x2x2x4xf32>
}
// CHECK-LABEL: func.func private @host_2
// CHECK:         graph.batch_to_space
