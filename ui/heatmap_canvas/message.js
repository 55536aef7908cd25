// The message of message.py, read back: {header, tiles: [{id, rows, columns, shape, values, stored}], lists: {name: numbers}}.

function decodeMessage(data) {
  const bytes = data instanceof Uint8Array ? data : new Uint8Array(data);
  const headerLength = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + headerLength)));
  const arrays = bytes.slice(4 + headerLength).buffer; // a copy that begins at offset 0, hence aligned
  const tiles = header.tiles.map((tile) => {
    const count = tile.shape[0] * tile.shape[1];
    return {
      ...tile,
      values: decodeValues(arrays, tile.values, count),
      stored: tile.stored ? decodeStored(arrays, tile.stored, count) : null,
    };
  });
  const lists = {};
  for (const [name, [encoding, offset, count]] of Object.entries(header.lists)) {
    lists[name] = new { f32: Float32Array, i32: Int32Array }[encoding](arrays, offset, count);
  }
  return { header, tiles, lists };
}

function decodeValues(buffer, [encoding, offset], count) {
  if (encoding === "f32") return new Float32Array(buffer, offset, count);
  const upper = new Uint16Array(buffer, offset, count);
  const bits = new Uint32Array(count);
  for (let i = 0; i < count; i++) bits[i] = upper[i] << 16;
  return new Float32Array(bits.buffer);
}

function decodeStored(buffer, [encoding, offset], count) {
  const type = { f64: Float64Array, i64: BigInt64Array, u64: BigUint64Array }[encoding];
  return new type(buffer, offset, count);
}

function decodeColours(hex) {
  const table = new Uint8Array(hex.length / 2);
  for (let i = 0; i < table.length; i++) table[i] = parseInt(hex.substr(2 * i, 2), 16);
  return table;
}
