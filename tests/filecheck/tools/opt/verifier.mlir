// RUN: furiosa-opt %s --split-input-file --verify-diagnostics

func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error@+1 {{operand 0, a result of graph.tanh, is used before it is defined}}
  %0 = "graph.relu"(%1) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = "graph.tanh"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  func.return %0 : tensor<4xf32>
}

// -----

func.func @main(%x: tensor<4xf32>) -> tensor<5xf32> {
  // expected-error@+1 {{result has shape [5], its operands make [4]}}
  %0 = "graph.relu"(%x) : (tensor<4xf32>) -> tensor<5xf32>
  func.return %0 : tensor<5xf32>
}

// -----

func.func @main(%a: tensor<2x3xf32>, %b: tensor<4x5xf32>) {
  // expected-error@+1 {{inner dimensions 3 and 4 differ}}
  %0 = "graph.mat_mul"(%a, %b) : (tensor<2x3xf32>, tensor<4x5xf32>) -> tensor<2x5xf32>
  func.return
}

// -----

func.func @main(%x: tensor<4xf32>) {
  func.return
  // expected-error@-1 {{a terminator in the middle of a block}}
  func.return
}

// -----

func.func @main(%x: tensor<4xf32>) {
  // expected-error@+1 {{ends its block but is not a terminator}}
  %0 = "graph.relu"(%x) : (tensor<4xf32>) -> tensor<4xf32>
}

// -----

func.func @main(%x: tensor<4xf32>) {
  // expected-error-re@+1 {{.*nobody.*}}
  func.call @nobody(%x) : (tensor<4xf32>) -> ()
  func.return
}
