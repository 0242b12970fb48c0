// The AVX-512 table for processors that want wide sums: the types whose scales it speeds up.
// Included by table_avx512_wide.cpp inside its anonymous namespace and target region.

template <class... Q>
void use_wide_sums(CodesList<Q...>, KernelTable& table) {
  ((table.matmul[table_index(Q::kType)] = matmul<Q, OperandsOf<Q>>), ...);
}

KernelTable make_wide_table() {
  KernelTable table = avx512_kernels();
  use_wide_sums(CodesList<CodesQ4_K, CodesQ5_K, CodesQ6_K>(), table);
  return table;
}
