{{ merged_rows() }}
