// The whole of the test framework: named cases, checks that say where and what.
#ifndef RELUFLOW_CHECK_H
#define RELUFLOW_CHECK_H

#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>

namespace check {

// A case is a static object that links itself to the others before main: nothing is allocated, so
// nothing can throw where nobody would catch it.
struct Case {
  Case(const char* name, void (*body)()) noexcept;

  const char* name;
  void (*body)();
  Case* next = nullptr;
};

struct Cases {
  Case* first = nullptr;
  Case* last = nullptr;
};

inline Cases& cases() {
  static Cases all;
  return all;
}

inline Case::Case(const char* name, void (*body)()) noexcept : name(name), body(body) {
  Cases& all = cases();
  (all.last == nullptr ? all.first : all.last->next) = this;
  all.last = this;
}

inline int& failures() {
  static int count = 0;
  return count;
}

inline void fail(const char* file, int line, const std::string& what) {
  if (++failures() <= 20) std::fprintf(stderr, "%s:%d: %s\n", file, line, what.c_str());
}

inline void holds(bool condition, const char* text, const char* file, int line) {
  if (!condition) fail(file, line, std::string("not true: ") + text);
}

template <class A, class B>
void equal(const A& a, const B& b, const char* text, const std::string& where, const char* file,
           int line) {
  if (a == b) return;
  std::ostringstream out;
  out << text << ": " << a << " is not " << b << (where.empty() ? "" : " at ") << where;
  fail(file, line, out.str());
}

inline void has(const std::string& text, const std::string& part, const char* file, int line) {
  if (text.find(part) != std::string::npos) return;
  fail(file, line, "\"" + text + "\" does not contain \"" + part + "\"");
}

inline int run_all() {
  if (cases().first == nullptr) return 1;
  for (const Case* c = cases().first; c != nullptr; c = c->next) {
    const int before = failures();
    c->body();
    std::printf("%s %s\n", failures() == before ? "ok  " : "FAIL", c->name);
  }
  return failures() == 0 ? 0 : 1;
}

}  // namespace check

#define TEST(name)                                \
  static void name();                             \
  static check::Case case_of_##name(#name, name); \
  static void name()

#define CHECK(condition) check::holds((condition), #condition, __FILE__, __LINE__)
#define CHECK_EQ(a, b) check::equal((a), (b), #a " == " #b, "", __FILE__, __LINE__)
#define CHECK_EQ_AT(a, b, where) check::equal((a), (b), #a " == " #b, (where), __FILE__, __LINE__)
#define CHECK_HAS(text, part) check::has((text), (part), __FILE__, __LINE__)

#define CHECK_MAIN \
  int main() { return check::run_all(); }

#endif
