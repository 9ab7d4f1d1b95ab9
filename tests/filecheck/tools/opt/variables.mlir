// RUN: furiosa-opt %s --split-input-file --verify-diagnostics

func.func @main() -> tensor<4xi8> {
  // expected-error@+1 {{there is no variable @nothing}}
  %0 = "graph.read_variable"() <{variable = @nothing}> : () -> tensor<4xi8>
  func.return %0 : tensor<4xi8>
}

// -----

"graph.variable"() <{sym_name = "v", type = tensor<4xi8>, initial = #graph.blob<i8 [4] (1, 2, 3, 4)>}> : () -> ()
func.func @main(%x: tensor<5xi8>, %y: tensor<4xf32>) {
  // expected-error@+1 {{assigns tensor<5xi8>, but the variable @v is tensor<4xi8>}}
  "graph.assign_variable"(%x) <{variable = @v}> : (tensor<5xi8>) -> ()
  // expected-error@+1 {{assigns tensor<4xf32>, but the variable @v is tensor<4xi8>}}
  "graph.assign_variable"(%y) <{variable = @v}> : (tensor<4xf32>) -> ()
  // The same stored integers.
  %0 = "graph.read_variable"() <{variable = @v}> : () -> tensor<4x!quant.uniform<i8:f32, 0.5>>
  func.return
}

// -----

// expected-error@+1 {{the variable 'v' is [4], its initial elements are [3]}}
"graph.variable"() <{sym_name = "v", type = tensor<4xi8>, initial = #graph.blob<i8 [3] (1, 2, 3)>}> : () -> ()
// expected-error@+1 {{the variable 'w' has the open shape [?]}}
"graph.variable"() <{sym_name = "w", type = tensor<?xi8>, initial = #graph.blob<i8 [3] (1, 2, 3)>}> : () -> ()
// expected-error@+1 {{the initial elements of the variable 'u' are i8, not i16}}
"graph.variable"() <{sym_name = "u", type = tensor<1xi16>, initial = #graph.blob<i8 [1] (1)>}> : () -> ()

// -----

"graph.variable"() <{sym_name = "v", type = tensor<4xi8>, initial = #graph.blob<i8 [4] (1, 2, 3, 4)>}> : () -> ()
func.func @npu_0() -> tensor<4xi8> {
  // expected-error@+1 {{reads the variable @v outside of @main: segments keep no state}}
  %0 = "graph.read_variable"() <{variable = @v}> : () -> tensor<4xi8>
  func.return %0 : tensor<4xi8>
}
