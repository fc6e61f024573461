import Testing

/// `#expect` for conditions that change something while they are asked, which the macro does not allow.
func check(_ condition: Bool, _ comment: @autoclosure () -> String = "", at location: SourceLocation = #_sourceLocation) {
    if !condition { Issue.record(Comment(rawValue: comment().isEmpty ? "the condition is false" : comment()), sourceLocation: location) }
}
