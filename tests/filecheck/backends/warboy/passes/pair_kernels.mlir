// RUN: furiosa-opt %s -p "assign-target{npu=warboy-2pe},fuse-kernels,assign-views,pair-kernels" | filecheck %s
// RUN: furiosa-opt %s -p "assign-target{npu=warboy-2pe},fuse-kernels,assign-views,pair-kernels,plan-tiles,allocate,schedule" | filecheck %s --check-prefix COMMANDS
// RUN: furiosa-opt %s -p "assign-target{npu=warboy},fuse-kernels,assign-views,pair-kernels" | filecheck %s --check-prefix ONE

// Two small windows of one map: each PE makes one, and what comes of the first moves behind both.

func.func private @npu_0(%x : tensor<1x5x5x64xi8>) -> (tensor<1x5x5x64xi8>, tensor<1x5x5x64xi8>) attributes {graph.placement = "npu"} {
  %a = ftensor.reduce_window %x {kind = "max", layout = "NHWC", window = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : tensor<1x5x5x64xi8>
  %b = ftensor.reduce_window %a {kind = "max", layout = "NHWC", window = array<i64: 5, 5>, pads = array<i64: 2, 2, 2, 2>} : tensor<1x5x5x64xi8>
  %c = ftensor.reduce_window %x {kind = "max", layout = "NHWC", window = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : tensor<1x5x5x64xi8>
  func.return %b, %c : tensor<1x5x5x64xi8>, tensor<1x5x5x64xi8>
}
// CHECK-LABEL: func.func private @npu_0
// CHECK:         %a = warboy.pool {{%.+}} = %x {views = #warboy.views<("NHWC") -> "NHWC">}
// CHECK:         %c = warboy.pool {{%.+}} = %x {views = #warboy.views<("NHWC") -> "NHWC">, beside = unit}
// CHECK:         %b = warboy.pool {{%.+}} = %a {views = #warboy.views<("NHWC") -> "NHWC">}

// The second works on the second PE: its result lies in slices 64 to 127.

// COMMANDS-LABEL: func.func private @npu_0
// COMMANDS:      execute_pool after {{.*}} slices = (1, 64)
// COMMANDS-NOT:  beside
// COMMANDS:      [[C:%.+]] = warboy.execute_pool
// COMMANDS-NEXT:   result = sram_tile(address = {{[0-9]+}}, shape = (1, 5, 5, 64), slices = (1, 64), order = "HCW", first = 64), layer = 1, beside = true}
// COMMANDS-NEXT: warboy.store after [[C]] {source = {{.*}} first = 64)

// One PE has nothing to put beside it.

// ONE-LABEL: func.func private @npu_0
// ONE-NOT:     beside
// ONE:         %b = warboy.pool {{%.+}} = %a
// ONE:         %c = warboy.pool {{%.+}} = %x

// A chain stays as it is.

func.func private @npu_1(%x : tensor<1x5x5x64xi8>) -> tensor<1x5x5x64xi8> attributes {graph.placement = "npu"} {
  %a = ftensor.reduce_window %x {kind = "max", layout = "NHWC", window = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : tensor<1x5x5x64xi8>
  %b = ftensor.reduce_window %a {kind = "max", layout = "NHWC", window = array<i64: 5, 5>, pads = array<i64: 2, 2, 2, 2>} : tensor<1x5x5x64xi8>
  func.return %b : tensor<1x5x5x64xi8>
}
// CHECK-LABEL: func.func private @npu_1
// CHECK-NOT:     beside
// CHECK:         return
