/** The operator's key, by which a Pi that boots over HTTP knows that its boot.img is ours. */
export interface BootKey {
  /** PEM, as `rpi-eeprom-config -p` takes it. */
  readonly publicKey: string;
  /** SHA-256 of the public key's DER form, in hex: `openssl pkey -pubin -in FILE -outform DER | sha256sum`. */
  readonly fingerprint: string;
  /** ISO 8601, UTC. */
  readonly made: string;
  /** An RSA 2048 signature (PKCS#1 v1.5, SHA-256) of the content whose SHA-256 this is. The private half stays inside. */
  sign(sha256: Uint8Array): Uint8Array;
}

export interface BootKeys {
  /** `undefined` until one was made. @throws Refusal when it is there and must not, or cannot, be used. */
  current(): Promise<BootKey | undefined>;
  /** Makes the key if there is none; `replace` makes another one in its place. @throws Refusal as {@link current}. */
  make(
    replace: boolean,
  ): Promise<{ readonly key: BootKey; readonly outcome: 'made' | 'present' | 'replaced' }>;
}
