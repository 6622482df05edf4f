"""The format of every topic, byte for byte. No other package writes or reads these formats.

How formats evolve. `schema` is increased only by a change that older releases cannot read. A
release reads its own schema and the one before. Other additions keep the number:

- A field may be added. A release that does not know a field of the changelog keeps it (`unknown`)
  and writes it back each time it rewrites the record. It cannot update the field, so a field that
  must be exact has to name the offset that it is valid for.
- A missing field has the value that applied before the field was added.
- A fate may be added. Its count is written only when it is not zero, because older releases refuse
  it. A release that does not know the fate includes the count in the sum and writes it back. The
  fates of the first release are always written, because that release requires all of them.
- A reset reason or a note may be added, but no reset that forgets the stream: chains depend on
  these.
- A kind of key may be added to the changelog. A release neither reads nor deletes keys of a kind
  that it does not know.
- The bytes of a prediction never change within one `schema`.
"""
