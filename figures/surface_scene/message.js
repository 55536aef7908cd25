// The message of message.py, read back: {header, values, stored, lines}; values are null where the browser has them already.

function decodeScene(data) {
  const bytes = data instanceof Uint8Array ? data : new Uint8Array(data);
  const headerLength = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + headerLength)));
  const arrays = bytes.slice(4 + headerLength).buffer; // a copy that begins at offset 0, hence aligned
  const read = (name) => (header.arrays[name] ? decodeArray(arrays, ...header.arrays[name]) : null);
  const lines = { rows: read("row_numbers"), columns: read("column_numbers") };
  return { header, values: read("values"), stored: read("stored"), lines };
}

function decodeArray(buffer, encoding, offset, count) {
  const types = { f32: Float32Array, u32: Uint32Array, f64: Float64Array, i64: BigInt64Array, u64: BigUint64Array };
  if (encoding !== "hi16") return new types[encoding](buffer, offset, count);
  const upper = new Uint16Array(buffer, offset, count);
  const bits = new Uint32Array(count);
  for (let i = 0; i < count; i++) bits[i] = upper[i] << 16;
  return new Float32Array(bits.buffer);
}
