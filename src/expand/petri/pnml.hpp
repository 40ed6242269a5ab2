// Reads a net from PNML (ISO 15909-2, P/T nets), and from what tools write beside the standard.
//
// Nets     Pages, nested pages, reference nodes. Net types ptnet, and its forerunners "P/T net"
//          (PIPE), ptNetb and epnml-1.1; others are refused by name, and so is a second net.
// Arcs     Their kind (net.hpp) is in an attribute type, kind or arctype, in an element of that name
//          (its attribute value, its text, or its <text> or <value>), there also within toolspecific,
//          or in the element's name: inhibitorArc, testArc, readArc, resetArc.
// Refused  By name: elements and attributes of nodes, arcs and nets that are not known to change
//          nothing; priorities or `timed` that differ between transitions; tokens of several kinds.
// Skipped  graphics, toolspecific, name, label, comment and their like.
// Memory   The parser's at most 4 MiB (a tag, comment or entity as a whole counts), the tables'
//          `limit`.
// Fails    kNotFound, kIo, kMemoryLimit, kInvalid: "FILE: line N, byte N: what is wrong".
#pragma once

#include <string>
#include <string_view>

#include "expand/petri/net.hpp"
#include "expand/problem/input.hpp"

namespace spillway::expand {

[[nodiscard]] Result<Net> read_pnml(const std::string& path, const ProblemContext& context);
// The document itself; `name` is what errors call it.
[[nodiscard]] Result<Net> parse_pnml(std::string_view text, const std::string& name, Bytes limit);

}  // namespace spillway::expand
