// Unpacks LZMA, which makes the engine a quarter smaller than gzip does, and which browsers do not unpack themselves.
//
// The format is that of the "LZMA specification" by Igor Pavlov (lzma-specification.txt in the LZMA SDK): thirteen bytes of header
// (properties, size of the dictionary, size of what is packed), then one stream of bits, each with an adaptive probability. The names
// are the specification's. Runs in a worker: it takes a fraction of a second. Knows nothing of what it unpacks.

function hopscopeLzma(packed) {
  'use strict';

  const fail = () => {
    throw new Error('its packed bytes are damaged');
  };
  const properties = packed[0];
  if (packed.length < 18 || properties >= 225 || packed[13] !== 0) fail();
  const lc = properties % 9;
  const lp = ((properties / 9) | 0) % 5;
  const pb = (properties / 45) | 0;
  const size = new DataView(packed.buffer, packed.byteOffset).getUint32(5, true);
  const out = new Uint8Array(size);

  // The range decoder. Numbers are kept unsigned by `>>> 0`.
  let at = 18;
  let range = 0xffffffff;
  let code = new DataView(packed.buffer, packed.byteOffset).getUint32(14);
  const bit = (probabilities, index) => {
    const probability = probabilities[index];
    const bound = Math.imul(range >>> 11, probability) >>> 0;
    let found = 0;
    if (code < bound) {
      range = bound;
      probabilities[index] = probability + ((2048 - probability) >> 5);
    } else {
      range = (range - bound) >>> 0;
      code = (code - bound) >>> 0;
      probabilities[index] = probability - (probability >> 5);
      found = 1;
    }
    if (range < 0x1000000) {
      range = (range << 8) >>> 0;
      code = ((code << 8) | packed[at]) >>> 0;
      at += 1;
    }
    return found;
  };
  const directBits = (count) => {
    let value = 0;
    for (let i = 0; i < count; i += 1) {
      range >>>= 1;
      const found = code >= range ? 1 : 0;
      if (found) code = (code - range) >>> 0;
      value = value * 2 + found;
      if (range < 0x1000000) {
        range = (range << 8) >>> 0;
        code = ((code << 8) | packed[at]) >>> 0;
        at += 1;
      }
    }
    return value;
  };
  const even = (count) => new Uint16Array(count).fill(1024);
  const tree = (probabilities, bits, from) => {
    let node = 1;
    for (let i = 0; i < bits; i += 1) node = node * 2 + bit(probabilities, from + node);
    return node - (1 << bits);
  };
  const reverseTree = (probabilities, bits, from) => {
    let node = 1;
    let value = 0;
    for (let i = 0; i < bits; i += 1) {
      const found = bit(probabilities, from + node);
      node = node * 2 + found;
      value |= found << i;
    }
    return value;
  };

  const lengthDecoder = () => {
    const [choice, low, middle, high] = [even(2), even(16 * 8), even(16 * 8), even(256)];
    return (position) => {
      if (!bit(choice, 0)) return tree(low, 3, position * 8);
      if (!bit(choice, 1)) return 8 + tree(middle, 3, position * 8);
      return 16 + tree(high, 8, 0);
    };
  };
  const literal = even(0x300 << (lc + lp));
  const [isMatch, isRep, isRepG0, isRepG1, isRepG2, isRep0Long] = [even(12 * 16), even(12), even(12), even(12), even(12), even(12 * 16)];
  const [slots, special, align] = [even(4 * 64), even(1 + 128 - 14), even(16)];
  const [matchLength, repLength] = [lengthDecoder(), lengthDecoder()];

  let state = 0;
  let [rep0, rep1, rep2, rep3] = [0, 0, 0, 0];
  let position = 0;
  while (position < size) {
    // The stream has a few bytes after its last bit at most.
    if (at > packed.length + 4) fail();
    const inBlock = position & ((1 << pb) - 1);
    if (!bit(isMatch, state * 16 + inBlock)) {
      const before = position > 0 ? out[position - 1] : 0;
      const of = 0x300 * (((position & ((1 << lp) - 1)) << lc) + (before >> (8 - lc)));
      let symbol = 1;
      if (state >= 7) {
        let match = out[position - rep0 - 1];
        do {
          const matchBit = (match >> 7) & 1;
          match <<= 1;
          const found = bit(literal, of + ((1 + matchBit) << 8) + symbol);
          symbol = symbol * 2 + found;
          if (matchBit !== found) break;
        } while (symbol < 0x100);
      }
      while (symbol < 0x100) symbol = symbol * 2 + bit(literal, of + symbol);
      out[position] = symbol;
      position += 1;
      state = state < 4 ? 0 : state < 10 ? state - 3 : state - 6;
      continue;
    }
    let length;
    if (bit(isRep, state)) {
      if (!bit(isRepG0, state)) {
        if (!bit(isRep0Long, state * 16 + inBlock)) {
          if (rep0 >= position) fail();
          out[position] = out[position - rep0 - 1];
          position += 1;
          state = state < 7 ? 9 : 11;
          continue;
        }
      } else {
        let distance = rep1;
        if (bit(isRepG1, state)) {
          distance = rep2;
          if (bit(isRepG2, state)) {
            distance = rep3;
            rep3 = rep2;
          }
          rep2 = rep1;
        }
        rep1 = rep0;
        rep0 = distance;
      }
      length = repLength(inBlock);
      state = state < 7 ? 8 : 11;
    } else {
      [rep3, rep2, rep1] = [rep2, rep1, rep0];
      length = matchLength(inBlock);
      state = state < 7 ? 7 : 10;
      const slot = tree(slots, 6, 64 * Math.min(length, 3));
      rep0 = slot;
      if (slot >= 4) {
        const bits = (slot >> 1) - 1;
        rep0 = (2 + (slot & 1)) * 2 ** bits;
        rep0 += slot < 14 ? reverseTree(special, bits, rep0 - slot) : directBits(bits - 4) * 16 + reverseTree(align, 4, 0);
      }
    }
    // A distance from before the beginning, as the mark of an end: the size is in the header, so none is wanted.
    if (rep0 >= position) fail();
    const end = position + length + 2;
    if (end > size) fail();
    for (; position < end; position += 1) out[position] = out[position - rep0 - 1];
  }
  return out;
}
