// Encodes an envelope as its own serialization would, to the byte, but in constant time in the number of bodies there
// are: the generated code asks for each of more than a hundred bodies in turn whether it is the one.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sandstore {

namespace pb {
class Envelope;
}  // namespace pb

// Also remembers the sizes of all parts, which encode_envelope() needs: call it first.
size_t envelope_bytes(const pb::Envelope& envelope);
// Writes exactly that many bytes and gives their end.
uint8_t* encode_envelope(const pb::Envelope& envelope, size_t bytes, uint8_t* to);

}  // namespace sandstore
