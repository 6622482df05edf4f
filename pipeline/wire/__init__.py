"""Every topic's format, byte for byte: each is written and read here, nowhere else.

How formats evolve. `schema` counts the changes that an older release cannot read; a release reads
its own and the one before. All else is added without a new number, as follows:

- A field may be added. A release that does not know a field of the changelog keeps it (`unknown`)
  and writes it back whenever it writes the record anew. It cannot keep the field up to date: one
  that has to be exact says for which offset it is.
- A field that is missing has the value of the time before it was added.
- A fate may be added. It is written only when its count is not zero, since older releases refuse
  it; a release that does not know it counts it in the sum, and writes it back. The fates of the
  first release are always written: it needs all of them.
- A reset or a note may be added, but no reset that forgets the stream: chains depend on that.
- A kind of key may be added to the changelog: a release leaves the kinds alone that it does not
  know.
- Predictions are the same bytes for ever, or have another `schema`.
"""
