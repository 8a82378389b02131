// A library that has no classes.
extern "C" int callboard_test_nothing() { return 0; }
