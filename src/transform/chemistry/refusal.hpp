// Why RDKit refuses a molecule or a site. Internal to the layer.
#pragma once

#include <GraphMol/SanitException.h>
#include <RDGeneral/Invariant.h>

#include <exception>
#include <optional>
#include <string>

#include "transform/chemistry/transformer.hpp"

namespace spillway::transform {

struct Refusal {
  Reason reason;
  std::string message;
};

// Control characters become blanks.
std::string one_line(std::string text);

// Runs `work`, which calls RDKit; what it throws becomes a Refusal, `otherwise` (as it stands by
// then) when RDKit does not say which kind.
template <class Work>
std::optional<Refusal> guarded(const Reason& otherwise, Work&& work) {
  try {
    work();
    return std::nullopt;
  } catch (const RDKit::AtomValenceException& error) {
    return Refusal{Reason::kValence, one_line(error.what())};
  } catch (const RDKit::KekulizeException& error) {
    return Refusal{Reason::kKekulize, one_line(error.what())};
  } catch (const RDKit::AtomKekulizeException& error) {
    return Refusal{Reason::kKekulize, one_line(error.what())};
  } catch (const RDKit::MolSanitizeException& error) {
    return Refusal{Reason::kSanitize, one_line(error.what())};
  } catch (const Invar::Invariant& error) {
    return Refusal{otherwise, one_line(error.what())};
  } catch (const std::exception& error) {
    return Refusal{otherwise, one_line(error.what())};
  }
}

}  // namespace spillway::transform
