// RUN: furiosa-opt %s --split-input-file --verify-diagnostics

func.func @view(%x : tensor<2x3xi8>) -> tensor<2x3xi8> {
  // expected-error @+1 {{under "HC" [2, 3] has the extents (1, 2, 1, 3), not (1, 3, 1, 2)}}
  %0 = warboy.vector %a = %x {views = #warboy.views<("HC") -> "HC">, plan = #warboy.plan<kernel_plan(operands = (operand_binding(buffer = 0, offset = (0, 0, 0, 0), extent = (1, 3, 1, 2), stage = none)), result = operand_binding(buffer = 1, offset = (0, 0, 0, 0), extent = (1, 2, 1, 3), stage = none), tile = (1, 2, 1, 3), whole = (), store = true, prefetch = 0, in_place = none, pinned = false, beside = false)>} : tensor<2x3xi8> {
    warboy.yield %a
  }
  func.return %0 : tensor<2x3xi8>
}

// -----

func.func @tile(%x : tensor<2x3xi8>) -> tensor<2x3xi8> {
  // expected-error @+1 {{the tile (1, 5, 1, 3) does not fit the result}}
  %0 = warboy.vector %a = %x {views = #warboy.views<("HC") -> "HC">, plan = #warboy.plan<kernel_plan(operands = (operand_binding(buffer = 0, offset = (0, 0, 0, 0), extent = (1, 2, 1, 3), stage = none)), result = operand_binding(buffer = 1, offset = (0, 0, 0, 0), extent = (1, 2, 1, 3), stage = none), tile = (1, 5, 1, 3), whole = (), store = true, prefetch = 0, in_place = none, pinned = false, beside = false)>} : tensor<2x3xi8> {
    warboy.yield %a
  }
  func.return %0 : tensor<2x3xi8>
}

// -----

func.func @command() {
  // expected-error @+1 {{warboy.load: the command is a store}}
  %0 = warboy.load command #warboy.command<store(layer = 0)>
  warboy.end
}

// -----

func.func @views(%x : tensor<2x3xi8>) -> tensor<2x3xi8> {
  // expected-error @+1 {{the views are for another number of operands}}
  %0 = warboy.vector %a = %x {views = #warboy.views<("HC", "HC") -> "HC">} : tensor<2x3xi8> {
    warboy.yield %a
  }
  func.return %0 : tensor<2x3xi8>
}

// -----

func.func @views(%x : tensor<2x3xi8>) -> tensor<2x3xi8> {
  // expected-error @+1 {{"NHC" is no view of [2, 3]}}
  %0 = warboy.vector %a = %x {views = #warboy.views<("NHC") -> "HC">} : tensor<2x3xi8> {
    warboy.yield %a
  }
  func.return %0 : tensor<2x3xi8>
}

// -----

func.func @views(%x : tensor<2x3xi8>) -> tensor<2x3xi8> {
  // expected-error @+1 {{"XY" is no view of [2, 3]}}
  %0 = warboy.vector %a = %x {views = #warboy.views<("HC") -> "XY">} : tensor<2x3xi8> {
    warboy.yield %a
  }
  func.return %0 : tensor<2x3xi8>
}

// -----

func.func @parameter_size(%x : tensor<2x4xi8>) -> tensor<2x4xi8> {
  %m = ftensor.constant #graph.blob<i32 [4] (1, 2, 3, 4)> : tensor<4xi32>
  %s = ftensor.constant #graph.blob<i8 [] (2)> : tensor<i8>
  // expected-error @+1 {{a parameter of 16 bytes is planned with 12}}
  %0 = warboy.vector %a = %x, %b = %m, %c = %s {views = #warboy.views<("HC", "C", "") -> "HC">, plan = #warboy.plan<kernel_plan(operands = (operand_binding(buffer = 0, offset = (0, 0, 0, 0), extent = (1, 2, 1, 4), stage = none), parameter_binding(size = 12, by_channel = true), parameter_binding(size = 1, by_channel = false)), result = operand_binding(buffer = 1, offset = (0, 0, 0, 0), extent = (1, 2, 1, 4), stage = none), tile = (1, 2, 1, 4), whole = (), store = true, prefetch = 0, in_place = none, pinned = false, beside = false)>} : tensor<2x4xi8> {
    %r = ftensor.rescale %a, %b, %c {rounding = "even"} : tensor<2x4xi8>
    warboy.yield %r
  }
  func.return %0 : tensor<2x4xi8>
}

// -----

func.func @parameter_channels(%x : tensor<2x4xi8>) -> tensor<2x4xi8> {
  %m = ftensor.constant #graph.blob<i32 [4] (1, 2, 3, 4)> : tensor<4xi32>
  %s = ftensor.constant #graph.blob<i8 [] (2)> : tensor<i8>
  // expected-error @+1 {{the 1 bytes of a parameter are not for 4 channels}}
  %0 = warboy.vector %a = %x, %b = %m, %c = %s {views = #warboy.views<("HC", "C", "") -> "HC">, plan = #warboy.plan<kernel_plan(operands = (operand_binding(buffer = 0, offset = (0, 0, 0, 0), extent = (1, 2, 1, 4), stage = none), parameter_binding(size = 16, by_channel = true), parameter_binding(size = 1, by_channel = true)), result = operand_binding(buffer = 1, offset = (0, 0, 0, 0), extent = (1, 2, 1, 4), stage = none), tile = (1, 2, 1, 4), whole = (), store = true, prefetch = 0, in_place = none, pinned = false, beside = false)>} : tensor<2x4xi8> {
    %r = ftensor.rescale %a, %b, %c {rounding = "even"} : tensor<2x4xi8>
    warboy.yield %r
  }
  func.return %0 : tensor<2x4xi8>
}

// -----

func.func @parameter(%x : tensor<2x4xi8>) -> tensor<2x4xi8> {
  %m = ftensor.constant #graph.blob<i32 [4] (1, 2, 3, 4)> : tensor<4xi32>
  %s = ftensor.constant #graph.blob<i8 [] (2)> : tensor<i8>
  // expected-error @+1 {{a parameter is no constant}}
  %0 = warboy.vector %a = %x, %b = %x, %c = %s {views = #warboy.views<("HC", "HC", "") -> "HC">, plan = #warboy.plan<kernel_plan(operands = (operand_binding(buffer = 0, offset = (0, 0, 0, 0), extent = (1, 2, 1, 4), stage = none), parameter_binding(size = 8, by_channel = true), parameter_binding(size = 1, by_channel = false)), result = operand_binding(buffer = 1, offset = (0, 0, 0, 0), extent = (1, 2, 1, 4), stage = none), tile = (1, 2, 1, 4), whole = (), store = true, prefetch = 0, in_place = none, pinned = false, beside = false)>} : tensor<2x4xi8> {
    %r = ftensor.minimum %a, %b : tensor<2x4xi8>
    warboy.yield %r
  }
  func.return %0 : tensor<2x4xi8>
}

// -----

func.func @whole(%x : tensor<2x4xi8>) -> tensor<2x4xi8> {
  %m = ftensor.constant #graph.blob<i32 [4] (1, 2, 3, 4)> : tensor<4xi32>
  %s = ftensor.constant #graph.blob<i8 [] (2)> : tensor<i8>
  // expected-error @+1 {{the tile (1, 2, 1, 2) splits one of the dimensions [3]}}
  %0 = warboy.vector %a = %x, %b = %m, %c = %s {views = #warboy.views<("HC", "C", "") -> "HC">, plan = #warboy.plan<kernel_plan(operands = (operand_binding(buffer = 0, offset = (0, 0, 0, 0), extent = (1, 2, 1, 4), stage = none), parameter_binding(size = 16, by_channel = true), parameter_binding(size = 1, by_channel = false)), result = operand_binding(buffer = 1, offset = (0, 0, 0, 0), extent = (1, 2, 1, 4), stage = none), tile = (1, 2, 1, 2), whole = (3), store = true, prefetch = 0, in_place = none, pinned = false, beside = false)>} : tensor<2x4xi8> {
    %r = ftensor.rescale %a, %b, %c {rounding = "even"} : tensor<2x4xi8>
    warboy.yield %r
  }
  func.return %0 : tensor<2x4xi8>
}

// -----

func.func @dimensions(%x : tensor<2x4xi8>) -> tensor<2x4xi8> {
  %m = ftensor.constant #graph.blob<i32 [4] (1, 2, 3, 4)> : tensor<4xi32>
  %s = ftensor.constant #graph.blob<i8 [] (2)> : tensor<i8>
  // expected-error @+1 {{[4] are no dimensions}}
  %0 = warboy.vector %a = %x, %b = %m, %c = %s {views = #warboy.views<("HC", "C", "") -> "HC">, plan = #warboy.plan<kernel_plan(operands = (operand_binding(buffer = 0, offset = (0, 0, 0, 0), extent = (1, 2, 1, 4), stage = none), parameter_binding(size = 16, by_channel = true), parameter_binding(size = 1, by_channel = false)), result = operand_binding(buffer = 1, offset = (0, 0, 0, 0), extent = (1, 2, 1, 4), stage = none), tile = (1, 2, 1, 4), whole = (4), store = true, prefetch = 0, in_place = none, pinned = false, beside = false)>} : tensor<2x4xi8> {
    %r = ftensor.rescale %a, %b, %c {rounding = "even"} : tensor<2x4xi8>
    warboy.yield %r
  }
  func.return %0 : tensor<2x4xi8>
}
