// RUN: furiosa-opt %s -p graph-hoist-row-functions{least-part=8} | filecheck %s

// The head of a detector: of two maps, each of two rows of three channels. Of the first, which is
// large enough, each row gets its own filters and is one of a batch.

!x = !quant.uniform<i8:f32, 0.5:3>
!w = !quant.uniform<i8:f32:0, {0.5, 0.25, 0.125, 1.0, 2.0, 4.0}>
!y = !quant.uniform<i8:f32, 0.25:-1>
!p = !quant.uniform<i8:f32, 0.00390625:-128>

func.func private @heads(%x: tensor<1x2x2x1x!x>, %b: tensor<1x1x1x6x!y>) -> tensor<1x10x3x!p> attributes {graph.placement = "npu"} {
  %w = graph.constant #graph.blob<i8 [6, 1, 1, 1] (1, 2, 3, 4, 5, 6)> : tensor<6x1x1x1x!w>
  %0 = graph.conv %x, %w {layout = "NHWC", kernel_layout = "OHWI"} : tensor<1x2x2x6x!y>
  %1 = graph.reshape %0 : tensor<1x8x3x!y>
  %2 = graph.reshape %b : tensor<1x2x3x!y>
  %3 = graph.concat %1, %2 {axis = 1} : tensor<1x10x3x!y>
  %4 = graph.softmax %3 {axis = 2} : tensor<1x10x3x!p>
  func.return %4 : tensor<1x10x3x!p>
}
// CHECK-LABEL: func.func private @heads
// CHECK:         [[W0:%.+]] = graph.constant #graph.blob<i8 [3, 1, 1, 1] (1, 2, 3)> : tensor<3x1x1x1x!quant.uniform<i8:f32:0, {0.5, 0.25, 0.125}>>
// CHECK-NEXT:    [[C0:%.+]] = graph.conv %x, [[W0]]{{.*}} : tensor<1x2x2x3x
// CHECK-NEXT:    [[W1:%.+]] = graph.constant #graph.blob<i8 [3, 1, 1, 1] (4, 5, 6)> : tensor<3x1x1x1x!quant.uniform<i8:f32:0, {1.0, 2.0, 4.0}>>
// CHECK-NEXT:    [[C1:%.+]] = graph.conv %x, [[W1]]{{.*}} : tensor<1x2x2x3x
// CHECK-NEXT:    [[C:%.+]] = graph.concat [[C0]], [[C1]] {axis = 0} : tensor<2x2x2x3x
// CHECK-NEXT:    [[S:%.+]] = graph.softmax [[C]] {axis = 3}
// CHECK-NEXT:    [[T:%.+]] = graph.transpose [[S]] {perm = array<i64: 1, 2, 0, 3>} : tensor<2x2x2x3x
// CHECK-NEXT:    [[R:%.+]] = graph.reshape [[T]] : tensor<1x8x3x
// CHECK:         [[SB:%.+]] = graph.softmax
// CHECK-NEXT:    graph.concat [[R]], [[SB]] {axis = 1}

// Of two images the parts are put together as channels; the transpose behind goes with them.

func.func private @images(%x: tensor<2x1x2x2x!x>) -> tensor<2x8x3x!p> attributes {graph.placement = "npu"} {
  %w = graph.constant #graph.blob<i8 [6, 1, 1, 1] (1, 2, 3, 4, 5, 6)> : tensor<6x1x1x1x!w>
  %0 = graph.conv %x, %w {layout = "NCHW", kernel_layout = "OHWI"} : tensor<2x6x2x2x!y>
  %1 = graph.transpose %0 {perm = array<i64: 0, 2, 3, 1>} : tensor<2x2x2x6x!y>
  %2 = graph.reshape %1 : tensor<2x8x3x!y>
  %3 = graph.softmax %2 {axis = 2} : tensor<2x8x3x!p>
  func.return %3 : tensor<2x8x3x!p>
}
// CHECK-LABEL: func.func private @images
// CHECK:         [[C0:%.+]] = graph.conv {{.*}} : tensor<2x3x2x2x
// CHECK:         [[C1:%.+]] = graph.conv {{.*}} : tensor<2x3x2x2x
// CHECK-NEXT:    [[T0:%.+]] = graph.transpose [[C0]]
// CHECK-NEXT:    [[T1:%.+]] = graph.transpose [[C1]]
// CHECK-NEXT:    [[S0:%.+]] = graph.softmax [[T0]] {axis = 3}
// CHECK-NEXT:    [[S1:%.+]] = graph.softmax [[T1]] {axis = 3}
// CHECK-NEXT:    [[C:%.+]] = graph.concat [[S0]], [[S1]] {axis = 3} : tensor<2x2x2x6x
// CHECK-NEXT:    graph.reshape [[C]] : tensor<2x8x3x

// Something on the NPU reads the result; rows of softmax run along what is concatenated.

func.func private @read(%x: tensor<1x2x2x1x!x>, %b: tensor<1x1x1x6x!y>) -> (tensor<1x8x3x!p>, tensor<1x10x3x!p>) attributes {graph.placement = "npu"} {
  %w = graph.constant #graph.blob<i8 [6, 1, 1, 1] (1, 2, 3, 4, 5, 6)> : tensor<6x1x1x1x!w>
  %0 = graph.conv %x, %w {layout = "NHWC", kernel_layout = "OHWI"} : tensor<1x2x2x6x!y>
  %1 = graph.reshape %0 : tensor<1x8x3x!y>
  %2 = graph.softmax %1 {axis = 2} : tensor<1x8x3x!p>
  %3 = graph.add %2, %2 : tensor<1x8x3x!p>
  %4 = graph.conv %x, %w {layout = "NHWC", kernel_layout = "OHWI"} : tensor<1x2x2x6x!y>
  %5 = graph.reshape %4 : tensor<1x8x3x!y>
  %6 = graph.reshape %b : tensor<1x2x3x!y>
  %7 = graph.concat %5, %6 {axis = 1} : tensor<1x10x3x!y>
  %8 = graph.softmax %7 {axis = 1} : tensor<1x10x3x!p>
  func.return %3, %8 : tensor<1x8x3x!p>, tensor<1x10x3x!p>
}
// CHECK-LABEL: func.func private @read
// CHECK:         [[R:%.+]] = graph.reshape
// CHECK-NEXT:    graph.softmax [[R]] {axis = 2}
// CHECK:         [[C:%.+]] = graph.concat
// CHECK-NEXT:    graph.softmax [[C]] {axis = 1}
