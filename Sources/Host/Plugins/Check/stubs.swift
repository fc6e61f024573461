let feedChecks: [Check] = []
let deciderChecks: [Check] = []
let routerChecks: [Check] = []
