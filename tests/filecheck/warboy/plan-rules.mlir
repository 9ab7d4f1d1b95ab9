// RUN: furiosa-opt %s --split-input-file --verify-diagnostics

func.func @view(%x : tensor<2x3xi8>) -> tensor<2x3xi8> {
  // expected-error @+1 {{under "HC" [2, 3] has the extents (1, 2, 1, 3), not (1, 3, 1, 2)}}
  %0 = "warboy.vector"(%x) <{views = #warboy.views<("HC") -> "HC">, plan = #warboy.plan<kernel_plan(operands = (operand_binding(buffer = 0, offset = (0, 0, 0, 0), extent = (1, 3, 1, 2), stage = none)), result = operand_binding(buffer = 1, offset = (0, 0, 0, 0), extent = (1, 2, 1, 3), stage = none), tile = (1, 2, 1, 3), store = true, prefetch = 0)>}> ({
  ^bb0(%a : tensor<2x3xi8>):
    "warboy.yield"(%a) : (tensor<2x3xi8>) -> ()
  }) : (tensor<2x3xi8>) -> tensor<2x3xi8>
  func.return %0 : tensor<2x3xi8>
}

// -----

func.func @tile(%x : tensor<2x3xi8>) -> tensor<2x3xi8> {
  // expected-error @+1 {{the tile (1, 5, 1, 3) does not fit the result}}
  %0 = "warboy.vector"(%x) <{views = #warboy.views<("HC") -> "HC">, plan = #warboy.plan<kernel_plan(operands = (operand_binding(buffer = 0, offset = (0, 0, 0, 0), extent = (1, 2, 1, 3), stage = none)), result = operand_binding(buffer = 1, offset = (0, 0, 0, 0), extent = (1, 2, 1, 3), stage = none), tile = (1, 5, 1, 3), store = true, prefetch = 0)>}> ({
  ^bb0(%a : tensor<2x3xi8>):
    "warboy.yield"(%a) : (tensor<2x3xi8>) -> ()
  }) : (tensor<2x3xi8>) -> tensor<2x3xi8>
  func.return %0 : tensor<2x3xi8>
}

// -----

func.func @command() {
  // expected-error @+1 {{warboy.load: the command is a store}}
  %0 = "warboy.load"() <{command = #warboy.command<store(layer = 0)>}> : () -> !warboy.token
  "warboy.end"() : () -> ()
}

// -----

func.func @views(%x : tensor<2x3xi8>) -> tensor<2x3xi8> {
  // expected-error @+1 {{the views are for another number of operands}}
  %0 = "warboy.vector"(%x) <{views = #warboy.views<("HC", "HC") -> "HC">}> ({
  ^bb0(%a : tensor<2x3xi8>):
    "warboy.yield"(%a) : (tensor<2x3xi8>) -> ()
  }) : (tensor<2x3xi8>) -> tensor<2x3xi8>
  func.return %0 : tensor<2x3xi8>
}

// -----

func.func @views(%x : tensor<2x3xi8>) -> tensor<2x3xi8> {
  // expected-error @+1 {{"NHC" is no view of [2, 3]}}
  %0 = "warboy.vector"(%x) <{views = #warboy.views<("NHC") -> "HC">}> ({
  ^bb0(%a : tensor<2x3xi8>):
    "warboy.yield"(%a) : (tensor<2x3xi8>) -> ()
  }) : (tensor<2x3xi8>) -> tensor<2x3xi8>
  func.return %0 : tensor<2x3xi8>
}

// -----

func.func @views(%x : tensor<2x3xi8>) -> tensor<2x3xi8> {
  // expected-error @+1 {{"XY" is no view of [2, 3]}}
  %0 = "warboy.vector"(%x) <{views = #warboy.views<("HC") -> "XY">}> ({
  ^bb0(%a : tensor<2x3xi8>):
    "warboy.yield"(%a) : (tensor<2x3xi8>) -> ()
  }) : (tensor<2x3xi8>) -> tensor<2x3xi8>
  func.return %0 : tensor<2x3xi8>
}
