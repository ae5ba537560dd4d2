/** CRC16 of the hash tag, modulo 16,384; the package comes without types. */
declare module 'cluster-key-slot' {
  export default function keySlot(key: string): number;
}
