// RUN: furiosa-opt %s -p "assign-target{npu=warboy},fuse-kernels,assign-views,plan-tiles,allocate,schedule" | filecheck %s

// Each engine waits for the other only where bytes of SRAM pass between them.
// The result may take the bytes of the argument, which is in SRAM by then.

func.func private @npu_0(%x : tensor<1x4x4x2xi8>) -> tensor<1x4x4x2xi8> attributes {graph.placement = "npu"} {
  %y = ftensor.reduce_window %x {kind = "max", layout = "NHWC", window = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : tensor<1x4x4x2xi8>
  %z = ftensor.reduce_window %y {kind = "max", layout = "NHWC", window = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : tensor<1x4x4x2xi8>
  func.return %z : tensor<1x4x4x2xi8>
}
// CHECK-LABEL: func.func private @npu_0
// CHECK:         workspace_bytes = 64
// CHECK:         [[L:%.+]] = warboy.load {source = dram_tile(region = "workspace", address = 0
// CHECK:         {{%.+}} = warboy.execute_pool after [[L]] {x = sram_tile(
// CHECK:         [[P:%.+]] = warboy.execute_pool {x = sram_tile(
// CHECK:         {{%.+}} = warboy.store after [[P]] {source = sram_tile(
// CHECK:         warboy.end
