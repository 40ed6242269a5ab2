// Text in another encoding, read as UTF-8.
//
// A byte order mark says what it is (UTF-16 of either order; UTF-8, whose mark is handed on); where
// there is none, `encoding` does. UTF-16 without a mark is little-endian. What is no text in its
// encoding becomes a byte FF, which is in no UTF-8, so that whoever looks finds it.
//
// Memory   128 KiB; iconv's own, little. Threads: one.
// Fails    as `stream` does; kInvalid: the system cannot convert (glibc's gconv modules are missing).
// Source   iconv(3) of glibc.
#pragma once

#include <memory>

#include "format/byte_stream.hpp"

namespace spillway::format {

enum class TextEncoding { kUtf8, kUtf16, kLatin1 };

std::unique_ptr<ByteStream> as_utf8(std::unique_ptr<ByteStream> stream, TextEncoding encoding);

}  // namespace spillway::format
