// The whole of the test framework: named cases, checks that say where and what.
#ifndef RELUFLOW_CHECK_H
#define RELUFLOW_CHECK_H

#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

namespace check {

struct Case {
  const char* name;
  void (*body)();
};

inline std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}

inline int& failures() {
  static int count = 0;
  return count;
}

struct Registrar {
  Registrar(const char* name, void (*body)()) { cases().push_back({name, body}); }
};

inline void fail(const char* file, int line, const std::string& what) {
  if (++failures() <= 20) std::fprintf(stderr, "%s:%d: %s\n", file, line, what.c_str());
}

template <class A, class B>
void equal(const A& a, const B& b, const char* text, const std::string& where, const char* file,
           int line) {
  if (a == b) return;
  std::ostringstream out;
  out << text << ": " << a << " is not " << b << (where.empty() ? "" : " at ") << where;
  fail(file, line, out.str());
}

inline int run_all() {
  for (const Case& c : cases()) {
    const int before = failures();
    c.body();
    std::printf("%s %s\n", failures() == before ? "ok  " : "FAIL", c.name);
  }
  if (cases().empty()) return 1;
  return failures() == 0 ? 0 : 1;
}

}  // namespace check

#define TEST(name)                                             \
  static void name();                                          \
  static const check::Registrar registrar_##name(#name, name); \
  static void name()

#define CHECK(condition)                                                        \
  do {                                                                          \
    if (!(condition)) check::fail(__FILE__, __LINE__, "not true: " #condition); \
  } while (false)
#define CHECK_EQ(a, b) check::equal((a), (b), #a " == " #b, "", __FILE__, __LINE__)
#define CHECK_EQ_AT(a, b, where) check::equal((a), (b), #a " == " #b, (where), __FILE__, __LINE__)
#define CHECK_HAS(text, part)                                                                   \
  do {                                                                                          \
    const std::string text_ = (text);                                                           \
    if (text_.find(part) == std::string::npos)                                                  \
      check::fail(__FILE__, __LINE__, "\"" + text_ + "\" does not contain \"" + (part) + "\""); \
  } while (false)

#define CHECK_MAIN \
  int main() { return check::run_all(); }

#endif
