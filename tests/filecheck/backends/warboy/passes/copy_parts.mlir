// RUN: furiosa-opt %s -p "assign-target{npu=warboy},fuse-kernels,assign-views,copy-parts" | filecheck %s

// Two kernels make the channels of a whole: in its buffer each would work in half of the slices.

func.func private @npu_0(%x : tensor<1x16x64x64xi8>, %y : tensor<1x16x64x64xi8>) -> tensor<1x16x64x128xi8> attributes {graph.placement = "npu"} {
  %t = ftensor.constant #graph.blob<i8 [256] (7)> : tensor<256xi8>
  %pw = ftensor.reduce_window %x {kind = "max", layout = "NHWC", window = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : tensor<1x16x64x64xi8>
  %p = ftensor.lookup %pw, %t : tensor<1x16x64x64xi8>
  %qw = ftensor.reduce_window %y {kind = "max", layout = "NHWC", window = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : tensor<1x16x64x64xi8>
  %q = ftensor.lookup %qw, %t : tensor<1x16x64x64xi8>
  %c = ftensor.concat %p, %q {axis = 3} : tensor<1x16x64x128xi8>
  func.return %c : tensor<1x16x64x128xi8>
}
// CHECK-LABEL: func.func private @npu_0
// CHECK:         [[P:%.+]] = warboy.pool
// CHECK:         [[PC:%.+]] = warboy.vector {{%.+}} = [[P]] {views = #warboy.views<("NHWC") -> "NHWC">}
// CHECK-NEXT:      warboy.yield
// CHECK:         [[Q:%.+]] = warboy.pool
// CHECK:         [[QC:%.+]] = warboy.vector {{%.+}} = [[Q]] {views = #warboy.views<("NHWC") -> "NHWC">}
// CHECK:         ftensor.concat [[PC]], [[QC]]

// With few elements a kernel more takes longer than what idle slices could do.

func.func private @npu_1(%x : tensor<1x4x4x8xi8>, %y : tensor<1x4x4x8xi8>) -> tensor<1x4x4x16xi8> attributes {graph.placement = "npu"} {
  %t = ftensor.constant #graph.blob<i8 [256] (7)> : tensor<256xi8>
  %pw = ftensor.reduce_window %x {kind = "max", layout = "NHWC", window = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : tensor<1x4x4x8xi8>
  %p = ftensor.lookup %pw, %t : tensor<1x4x4x8xi8>
  %qw = ftensor.reduce_window %y {kind = "max", layout = "NHWC", window = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : tensor<1x4x4x8xi8>
  %q = ftensor.lookup %qw, %t : tensor<1x4x4x8xi8>
  %c = ftensor.concat %p, %q {axis = 3} : tensor<1x4x4x16xi8>
  func.return %c : tensor<1x4x4x16xi8>
}
// CHECK-LABEL: func.func private @npu_1
// CHECK-NOT:     warboy.vector
// CHECK:         ftensor.concat

// Images follow one another in every slice: nothing idles.

func.func private @npu_2(%x : tensor<1x16x64x64xi8>, %y : tensor<1x16x64x64xi8>) -> tensor<2x16x64x64xi8> attributes {graph.placement = "npu"} {
  %t = ftensor.constant #graph.blob<i8 [256] (7)> : tensor<256xi8>
  %pw = ftensor.reduce_window %x {kind = "max", layout = "NHWC", window = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : tensor<1x16x64x64xi8>
  %p = ftensor.lookup %pw, %t : tensor<1x16x64x64xi8>
  %qw = ftensor.reduce_window %y {kind = "max", layout = "NHWC", window = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : tensor<1x16x64x64xi8>
  %q = ftensor.lookup %qw, %t : tensor<1x16x64x64xi8>
  %c = ftensor.concat %p, %q {axis = 0} : tensor<2x16x64x64xi8>
  func.return %c : tensor<2x16x64x64xi8>
}
// CHECK-LABEL: func.func private @npu_2
// CHECK-NOT:     warboy.vector
// CHECK:         ftensor.concat
