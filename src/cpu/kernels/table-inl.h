// One KernelTable of everything above. Included by table_*.cpp inside their anonymous namespace and
// target region.

template <class... Q>
constexpr void add_quantised(CodesList<Q...>, KernelTable& table) {
  ((table.matmul[table_index(Q::kType)] = matmul<Q, OperandsOf<Q>>), ...);
  ((table.widen[table_index(Q::kType)] = widen<Q>), ...);
}

template <class P>
constexpr void add_float(Type type, KernelTable& table) {
  table.matmul[table_index(type)] = matmul_float<P>;
  table.widen[table_index(type)] = widen_float<P>;
}

constexpr KernelTable make_table(Isa isa) {
  KernelTable table{};
  table.isa = isa;
  add_float<ColumnsF32>(Type::kF32, table);
  add_float<ColumnsF16>(Type::kF16, table);
  add_float<ColumnsBF16>(Type::kBF16, table);
  add_quantised(AllCodes(), table);
  table.matmul_widened = matmul_widened;
  table.quantise = quantise;
  table.rms_norm = rms_norm;
  table.rope = rope;
  table.swiglu = swiglu;
  table.add_scaled = add_scaled;
  table.store_kv = store_kv;
  table.attention = attention;
  table.peak_int8 = peak_int<8>;
  table.peak_int4 = peak_int<4>;
  table.peak_f32 = peak_f32;
  return table;
}
