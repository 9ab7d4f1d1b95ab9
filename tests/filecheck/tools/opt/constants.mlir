// RUN: furiosa-opt %s --no-verify-each | filecheck %s

// Up to 16 elements stand in the text, with their type and shape; floats keep every bit.

// CHECK: #graph.blob<f32 [2, 2] (0.5, -1.0e-05, "nan", "inf")>
%0 = "graph.constant"() <{value = #graph.blob<f32 [2, 2] (0.5, -0.00001, "nan", "inf")>}>
    : () -> tensor<2x2xf32>
// CHECK: #graph.blob<ui64 [1] (18446744073709551615)>
%1 = "graph.constant"() <{value = #graph.blob<ui64 [1] (18446744073709551615)>}>
    : () -> tensor<1xui64>
// CHECK: #graph.blob<i1 [2] (1, 0)>
%2 = "graph.constant"() <{value = #graph.blob<i1 [2] (1, 0)>}> : () -> tensor<2xi1>
// CHECK: #graph.blob<bf16 [] (3.140625)>
%3 = "graph.constant"() <{value = #graph.blob<bf16 [] (3.14)>}> : () -> tensor<bf16>
// One element fills any shape, and is written once however large that is.
// CHECK: #graph.blob<i8 [4, 100] (7)>
%s = "graph.constant"() <{value = #graph.blob<i8 [4, 100] (7)>}> : () -> tensor<4x100xi8>
// CHECK: #graph.blob<f32 [0, 3] ()>
%4 = "graph.constant"() <{value = #graph.blob<f32 [0, 3] ()>}> : () -> tensor<0x3xf32>
